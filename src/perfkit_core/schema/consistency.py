"""What a run's files must agree on: sums, names and verdicts that follow from other values.

Each function returns the first contradiction as ``field: what is wrong``, or an empty text. A file whose
syntax and types are right can still be damaged; a number from it would be wrong without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add, attrgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from perfkit_core.schema.base import Record

if TYPE_CHECKING:
    from perfkit_core.schema.analytic import AnalyticReport, ModuleRecord
    from perfkit_core.schema.run import RunIndex
    from perfkit_core.schema.verify import LayerRecord, VerifyReport

_TOTALS = ("flops", "elementwise_flops", "parameters", "weight_bytes", "bytes_read", "bytes_written")
_ADDED = (*_TOTALS, "activation_bytes")
_INDEXED_TOTALS = ("flops", "parameters", "weight_bytes", "peak_memory_bytes")
_INDEXED_STAGE = ("path", "calls", "flops", "bytes_read", "bytes_written", "parameters")
_PER_OPERATION = ("flops", "bytes_read", "bytes_written")
_REPORT = "analytic/report.json"
_NAMES = ("model", "variant", "workload")

_own = attrgetter(*(f"own_{name}" for name in _ADDED))
_inclusive = attrgetter(*_ADDED)
_of_operation = attrgetter(*_PER_OPERATION)
_own_of_operations = attrgetter(*(f"own_{name}" for name in _PER_OPERATION))


def report_problem(report: AnalyticReport) -> str:
    """Check that own values, inclusive values, stages, categories and totals add up."""
    modules = report.modules
    tops = [module for module in modules if "/" not in module.path]
    return (
        _paths_problem([module.path for module in modules])
        or _operations_problem(modules)
        or _inclusive_problem(modules)
        or _rows_problem("stages", report.stages, tops, ("path", "calls", *_TOTALS))
        or _totals_problem(report, tops)
        or _categories_problem(report)
    )


def index_problem(index: RunIndex) -> str:
    """Check that the totals of ``run.json`` are those of its stages, and that its files are in the run."""
    for name in index.files:
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return f"files: {name!r:.80} is not in the run directory"
    if index.totals is None:
        return "totals: null, although there are stages" if index.stages else ""
    if _REPORT not in index.files:
        return f"files: {_REPORT} is not among them, although there are totals"
    repeated = _repeated([stage.path for stage in index.stages])
    if repeated:
        return f"stages: {repeated!r:.80} stands there twice"
    for name in ("flops", "parameters"):
        found, wanted = getattr(index.totals, name), sum(getattr(stage, name) for stage in index.stages)
        if found != wanted:
            return f"totals.{name}: {_short(found)}, but the stages have {_short(wanted)}"
    return ""


def report_of_index_problem(report: AnalyticReport, index: RunIndex) -> str:
    """Check that a report is of the run that ``run.json`` describes."""
    if index.totals is None:
        return "totals: run.json has none"
    return (
        _names_problem(report, index)
        or _differing("totals", report.totals, index.totals, _INDEXED_TOTALS, "run.json says")
        or _rows_problem("stages", report.stages, index.stages, _INDEXED_STAGE, "run.json says")
    )


def verification_of_index_problem(report: VerifyReport, index: RunIndex) -> str:
    """Check that a verification is of the run that ``run.json`` describes."""
    found, totals = report.end_to_end, index.totals
    if totals is not None and (found.expected, found.parameters_expected) != (totals.flops, totals.parameters):
        return "end_to_end: other FLOPs or parameters are expected than run.json says"
    return _names_problem(report, index)


def verification_problem(report: VerifyReport) -> str:
    """Check that differences, verdicts, counts and the outcome follow from the modules listed."""
    layers, whole = report.layers, report.end_to_end
    repeated = _repeated([layer.path for layer in layers])
    if repeated:
        return f"layers: {repeated!r:.80} stands there twice"
    alone = {unmatched.path for unmatched in report.unmatched}
    for layer in layers:
        problem = _layer_problem(layer, report.tolerance, alone)
        if problem:
            return f"layers: {layer.path!r:.80}: {problem}"
    parameters = relative_difference(whole.parameters_expected, whole.parameters_counted)
    flops = relative_difference(whole.expected, whole.counted)
    largest = max(flops, parameters, *(max(_differences(layer)[:2]) for layer in layers))
    over = any(layer.verdict == "over" for layer in layers)
    known = {layer.path for layer in layers}
    for name, found, wanted in (
        ("end_to_end.relative_difference", whole.relative_difference, flops),
        ("modules", report.modules, len(layers)),
        ("mismatched", report.mismatched, sum(layer.verdict != "equal" for layer in layers)),
        ("unmatched", sorted(alone - known), []),
        ("max_relative_difference", report.max_relative_difference, largest),
        ("max_bytes_difference", report.max_bytes_difference, max((_differences(one)[3] for one in layers), default=0)),
        ("passed", report.passed, not alone and not over and max(flops, parameters) <= report.tolerance),
    ):
        if found != wanted:
            return f"{name}: {found!s:.60}, but the modules give {wanted!s:.60}"
    return ""


def relative_difference(expected: int, counted: int) -> float:
    """Return ``|expected - counted|`` over the larger of the two; 0 when both are 0."""
    larger = max(abs(expected), abs(counted))
    return abs(expected - counted) / larger if larger else 0.0


def _differences(layer: LayerRecord) -> tuple[float, float, float, float]:
    """Return the relative differences in FLOPs, parameters, calls and bytes."""
    return (
        relative_difference(layer.expected, layer.counted),
        relative_difference(layer.parameters_expected, layer.parameters_counted),
        relative_difference(layer.calls_expected, layer.calls),
        max((relative_difference(one.expected, one.counted) for one in layer.bytes), default=0.0),
    )


def _layer_problem(layer: LayerRecord, tolerance: float, alone: set[str]) -> str:
    differences = _differences(layer)
    if layer.relative_difference != differences[0]:
        return f"relative_difference: {layer.relative_difference}, but the FLOPs differ by {differences[0]}"
    worst = max(differences)
    matched = "equal" if not worst else "within" if worst <= tolerance else "over"
    verdict = "unmatched" if layer.path in alone else matched
    return "" if layer.verdict == verdict else f"verdict: {layer.verdict}, but the numbers make it {verdict}"


def _paths_problem(paths: Sequence[str]) -> str:
    """Check that every path stands there once, below one that came before it."""
    seen: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        if path in seen:
            return f"modules: {path!r:.80} stands there twice"
        if not path or (parent and parent not in seen) or path.startswith("/"):
            return f"modules: {path!r:.80} has no module above it"
        seen.add(path)
    return ""


def _operations_problem(modules: Iterable[ModuleRecord]) -> str:
    for module in modules:
        if not module.ops:
            sums: tuple[int, ...] = (0,) * len(_PER_OPERATION)
        elif len(module.ops) == 1:
            sums = _of_operation(module.ops[0])
        else:
            sums = tuple(map(sum, zip(*map(_of_operation, module.ops), strict=True)))
        found = _own_of_operations(module)
        if sums != found:
            return _unequal(module.path, [f"own_{name}" for name in _PER_OPERATION], found, sums, "its operations")
    return ""


def _inclusive_problem(modules: Sequence[ModuleRecord]) -> str:
    """Check that every module has its own values and those of the modules below it."""
    sums = {module.path: _own(module) for module in modules}
    for module in reversed(modules):
        total, found = sums[module.path], _inclusive(module)
        if total != found:
            return _unequal(module.path, _ADDED, found, total, "it and the modules below it")
        parent = module.path.rpartition("/")[0]
        if parent:
            sums[parent] = tuple(map(add, sums[parent], total))
    return ""


def _unequal(path: str, names: Sequence[str], found: Sequence[int], wanted: Sequence[int], of: str) -> str:
    name, one, other = next(row for row in zip(names, found, wanted, strict=True) if row[1] != row[2])
    return f"modules: {path!r:.80}: {name} is {_short(one)}, but {of} have {_short(other)}"


def _totals_problem(report: AnalyticReport, tops: Sequence[ModuleRecord]) -> str:
    for name in _TOTALS:
        found, wanted = getattr(report.totals, name), sum(getattr(module, name) for module in tops)
        if found != wanted:
            return f"totals.{name}: {_short(found)}, but the modules have {_short(wanted)}"
    return ""


def _categories_problem(report: AnalyticReport) -> str:
    values: dict[str, tuple[int, int]] = {}
    for module in report.modules:
        for name, (own_flops, own_bytes) in module.by_category().items():
            flops, nbytes = values.get(name, (0, 0))
            values[name] = (flops + own_flops, nbytes + own_bytes)
    wanted = {name: pair for name, pair in values.items() if any(pair)}
    names = [category.name for category in report.categories]
    if names != sorted(wanted, key=lambda name: (-wanted[name][0], name)):
        return "categories: not those of the modules, most FLOPs first"
    flops, nbytes = (sum(pair[index] for pair in wanted.values()) for index in range(2))
    for category in report.categories:
        own = wanted[category.name]
        shares = (own[0] / flops if flops else 0.0, own[1] / nbytes if nbytes else 0.0)
        if (category.flops, category.bytes, category.share, category.bytes_share) != (*own, *shares):
            return f"categories: {category.name!r:.80} is not what its modules add up to"
    return ""


def _rows_problem(
    field: str, found: Sequence[Record], wanted: Sequence[Record], names: Sequence[str], source: str = "the modules say"
) -> str:
    if len(found) != len(wanted):
        return f"{field}: {len(found)} of them, but {source} {len(wanted)}"
    for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
        problem = _differing(f"{field}.{index}", one, other, names, source)
        if problem:
            return problem
    return ""


def _differing(field: str, found: Record, wanted: Record, names: Sequence[str], source: str) -> str:
    for name in names:
        one, other = getattr(found, name), getattr(wanted, name)
        if one != other:
            return f"{field}.{name}: {_short(one)}, but {source} {_short(other)}"
    return ""


def _names_problem(report: AnalyticReport | VerifyReport, index: RunIndex) -> str:
    for name in _NAMES:
        found, wanted = getattr(report, name), getattr(index, name)
        if found != wanted:
            return f"{name}: {_short(found)}, but run.json says {_short(wanted)}"
    return ""


def _repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
