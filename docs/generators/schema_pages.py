"""``schema.md`` and ``schema/*.json``: every persisted file and JSON result, from its pydantic model."""

from __future__ import annotations

import json
from typing import Any, get_args

from generators.annotations import words
from generators.docstrings import inline
from perfkit_core.schema.analysis import Comparison, Hotspots
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.base import Record
from perfkit_core.schema.counters import CountersReport, RegionCounters
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.run import Environment, RunIndex
from perfkit_core.schema.session import RunSample, Session
from perfkit_core.schema.verify import EndToEnd, VerifyReport
from perfkit_core.schema.worker import WorkerError, WorkerPlan

FILES: tuple[tuple[str, str, type[Record]], ...] = (
    ("run", "`run.json`", RunIndex),
    ("environment", "`env.json`", Environment),
    ("analytic", "`analytic/report.json`", AnalyticReport),
    ("verify", "`verify/layers.json`, `perfkit verify --json`", VerifyReport),
    ("end2end", "`verify/end2end.json`", EndToEnd),
    ("metrics", "`metrics.json`", Metrics),
    ("regions", "`regions.json`", RegionsReport),
    ("counters", "`ncu/regions/report.json`", CountersReport),
    ("counters-region", "`ncu/regions/<directory>/report.json`", RegionCounters),
    ("session", "`session.json` of a pass", Session),
    ("run-sample", "a line of `samples.jsonl` of a `wall_clock` pass", RunSample),
    ("hotspots", "`perfkit hotspots --json`", Hotspots),
    ("compare", "`compare/<base>.json`, `perfkit compare --json`", Comparison),
    ("worker-plan", "`plan.json` of a worker process", WorkerPlan),
    ("worker-error", "`error.json` of a worker process", WorkerError),
)
"""Name of the schema file, where the record stands, and its model."""


INTRODUCTION = """# Files and JSON results

Generated from `perfkit_core.schema`. Every record names its `schema` and version; a reader refuses unknown versions and
unknown fields. Integers have any size and are never rounded. FLOPs are FLOPs and bytes are bytes; any other unit stands
in the meaning.
"""

RESULTS: dict[str, tuple[str, dict[str, str]]] = {
    "run": (
        "An object: the fields of [RunIndex](#runindex) and",
        {"run_dir": "Run directory"},
    ),
    "verify": (
        "An object: the fields of [VerifyReport](#verifyreport) and",
        {"run_dir": "Run directory"},
    ),
    "list": (
        "An array of objects.",
        {
            "name": "What to write to select it",
            "distribution": "Distribution that provides it; empty for templates of your own",
            "version": "Version of that distribution",
            "summary": "One line",
            "variants": "Variant names (models)",
            "model": "Model it feeds (workloads)",
            "origin": "`project`, `user`, a plugin's name or `core` (templates)",
            "path": "File (templates)",
        },
    ),
    "plugins": (
        "An array of objects.",
        {
            "name": "Entry-point name",
            "distribution": "Distribution name",
            "version": "Distribution version",
            "status": "`active`, `disabled`, `failed` or `incompatible`",
            "provides": "What it registered, as `kind:name`",
            "error": "Why it is not active or which names are refused; empty when all is well",
            "traceback": "Full text of the failure (`--verbose`)",
        },
    ),
    "doctor": (
        "An object.",
        {
            "python": "`version`, `executable` and `platform`",
            "distributions": "Versions of perfkit, its plugins and the optional libraries",
            "settings": "Per setting, its `value` and `origin`",
            "plugins": "Per plugin, `name`, `distribution`, `status` and `error`",
            "backends": "Per backend, its `name` and what is missing as `problems`",
            "stack": "Versions of the optional libraries; null when absent",
            "stack_advice": "How to install what is absent; empty when nothing is",
            "problems": "What keeps something installed from working; the exit code is 3 when there is any",
        },
    ),
}
"""JSON that no file holds, by command: its shape and fields."""


def pages() -> dict[str, str]:
    """Return ``schema.md`` and the JSON schemas, by path below ``docs/``."""
    found = {f"schema/{name}.json": _json_schema(model) for name, _, model in FILES}
    return {"schema.md": _tables(), **found}


def _json_schema(model: type[Record]) -> str:
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def _tables() -> str:
    lines = [
        INTRODUCTION,
        "| where | record | JSON schema |",
        "|---|---|---|",
    ]
    lines += [
        f"| {where} | [`{model.__name__}`](#{model.__name__.lower()}) | [{name}.json](schema/{name}.json) |"
        for name, where, model in FILES
    ]
    for command, (shape, fields) in RESULTS.items():
        lines += [f"\n## perfkit {command} --json\n", shape, "", "| field | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in fields.items()]
    for model in _reachable():
        lines += _table(model)
    return "\n".join(lines) + "\n"


def _reachable() -> list[type[Record]]:
    """Every record of the files and every record inside one, each once."""
    found: dict[type[Record], None] = {}

    def visit(model: type[Record]) -> None:
        if model in found:
            return
        found[model] = None
        for field in model.model_fields.values():
            for part in _records(field.annotation):
                visit(part)

    for _, _, model in FILES:
        visit(model)
    return list(found)


def _records(annotation: Any) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for argument in get_args(annotation) for record in _records(argument)]


def _table(model: type[Record]) -> list[str]:
    lines = [f"\n## {model.__name__}\n", inline(model.__doc__ or ""), "", "| field | type | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        lines.append(
            f"| `{field.alias or name}` | {words(field.annotation, _link)} | {inline(field.description or '')} |"
        )
    return lines


def _link(record: type) -> str:
    return f"[{record.__name__}](#{record.__name__.lower()})"
