"""``assumptions.md``: what the numbers of a run take for granted."""

from __future__ import annotations

from perfkit_core.plan import Plan


def assumptions(plan: Plan) -> str:
    """Return the assumptions of a run as Markdown; every value with its origin."""
    subject, tree = plan.subject, plan.tree
    architecture = "unknown: the analytic model failed" if tree is None else tree.architecture
    lines = [
        "# Assumptions",
        "",
        f"* Model: {subject.model.name}, variant {subject.request.variant}",
        f"* Workload: {subject.workload.name}",
        f"* Architecture: {architecture}",
        "* Weights: none are read; costs follow from the architecture alone",
        "* Device: none; nothing was executed",
        "* A multiply-add is 2 FLOPs; bytes are the least an ideal kernel moves, per operation",
        "",
        "## Parameters",
        "",
        "| parameter | value | from |",
        "|---|---|---|",
    ]
    for name, value in plan.settings.set.items():
        lines.append(f"| {name} | {_cell(value)} | {_cell(plan.origins.get(f'set.{name}', ''))} |")
    for title, entries in (
        ("Derived sizes", [f"{name}: {value}" for name, value in tree.geometry.items()] if tree else []),
        ("Notes", list(tree.notes) if tree else []),
        ("Not modelled", list(tree.not_modelled) if tree else []),
    ):
        if entries:
            lines += ["", f"## {title}", "", *(f"* {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
