"""``modules.md``: the first line of every module's docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from generators.docstrings import inline

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ("perfkit-core", ROOT / "src" / "perfkit_core"),
    ("perfkit-wan2-1", ROOT / "plugins" / "perfkit_wan2_1" / "src" / "perfkit_wan2_1"),
    ("perfkit-deepseek-ocr", ROOT / "plugins" / "perfkit_deepseek_ocr" / "src" / "perfkit_deepseek_ocr"),
    ("perfkit-nsight", ROOT / "plugins" / "perfkit_nsight" / "src" / "perfkit_nsight"),
)


def page() -> str:
    """Return the whole page."""
    lines = [
        "# Modules\n",
        "Generated from the first line of each module; [architecture](architecture.md) has the whole.",
    ]
    for distribution, package in PACKAGES:
        lines += [f"\n## {distribution}\n", "| module | what it does |", "|---|---|"]
        lines += [f"| `{name}` | {inline(text)} |" for name, text in _modules(package)]
    return "\n".join(lines) + "\n"


def _modules(package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(package.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, (text or "").partition("\n")[0]
