"""What accounts for the difference between two runs of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perfkit_core.agreement import agreement_of
from perfkit_core.compared_times import compared_times
from perfkit_core.errors import UsageError
from perfkit_core.hotspots import (
    OWN_VALUES,
    UNITS,
    analytic_report_of,
    categories_of,
    category_values,
    check_top,
    largest,
    part,
)
from perfkit_core.rundir import ANALYTIC_REPORT
from perfkit_core.schema.analysis import (
    Agreement,
    CategoryChange,
    Change,
    Comparison,
    Contributor,
    Measure,
    ValueChange,
)
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.units import format_change, format_ms, format_quantity, format_share

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

VERDICT_CHANGES = 3
"""Parameter changes that the verdict sentence spells out."""

_NAMED = ("variant", "workload", "architecture")


def compare_runs(base: Run, head: Run, *, by: Measure = "flops", top: int = 10) -> Comparison:
    """Compare own values per module and per category.

    Modules of both runs take part; one that a run does not have counts as 0 there. Modules and
    categories without a change are not listed.

    Args:
        base: The run to compare with.
        head: The run that is judged.
        by: ``flops``, ``bytes`` (read and written) or ``time``.
        top: Modules to list at most; all categories with a change are listed.

    Raises:
        UsageError: The runs are of different models, their times are of different things, or an argument is not
            accepted.
        MissingError: A run does not hold the measure.
        DamagedFileError: A file with the measure is damaged or was left out.
    """
    check_top(top, "--top")
    if base.index.model != head.index.model:
        models = base.index.model or "of no model", head.index.model or "of no model"
        raise UsageError(
            f"runs of different models cannot be compared: {base.path} is {models[0]}, {head.path} is {models[1]}",
            fix="give two runs of one model; variants and workloads may differ",
        )
    names = (str(base.path), str(head.path))
    if by == "time":
        first, second = _analytic(base), _analytic(head)
        values, changed, made = compared_times(base, head)
        groups = categories_of(values, first), categories_of(changed, second)
        notes = (*made, *(f"{run.path}: {run.left_out_note}" for run in (base, head) if run.left_out))
        known = _inputs_of(base, head, (first, second))
        found = _comparison((values, changed), groups, known, by=by, top=top, names=names, notes=notes)
        return _with_agreement(found, agreement_of(base, head), apart=_timed_apart(base) or _timed_apart(head))
    before, after = analytic_report_of(base, by), analytic_report_of(head, by)
    return compare_reports(before, after, by=by, top=top, names=names)


def _with_agreement(comparison: Comparison, agreement: Agreement | None, *, apart: bool) -> Comparison:
    """Put what the unprofiled runs took as a whole before what is said of regions.

    Args:
        apart: Whether regions were timed in runs of their own, whose totals are others.
    """
    if agreement is None:
        return comparison
    whole = agreement.text
    if comparison.workload_changes:  # other work: no question of repeating
        one = agreement.whole
        change = format_change(one.relative_change)
        whole = f"The whole run takes {format_ms(one.base_ms)} and {format_ms(one.head_ms)} ({change})."
    rest = f"{comparison.verdict[0].upper()}{comparison.verdict[1:]}"
    if apart:
        rest = f"By region, which is timed in runs of its own: {comparison.verdict}"
    return comparison.model_copy(update={"agreement": agreement, "verdict": f"{whole} {rest}"})


def _timed_apart(run: Run) -> bool:
    return run.metrics is not None and run.metrics.detailed > 0


def compare_reports(
    base: AnalyticReport, head: AnalyticReport, *, by: Measure, top: int, names: tuple[str, str]
) -> Comparison:
    """Compare two analytic reports; ``names`` are the run directories. See ``compare_runs``."""
    values = _own_values(base, by), _own_values(head, by)
    groups = category_values(base, by), category_values(head, by)
    return _comparison(values, groups, (_inputs(base), _inputs(head)), by=by, top=top, names=names)


def _comparison(
    values: tuple[Mapping[str, int], Mapping[str, int]],
    groups: tuple[Mapping[str, int], Mapping[str, int]],
    inputs: tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    *,
    by: Measure,
    top: int,
    names: tuple[str, str],
    notes: tuple[str, ...] = (),
) -> Comparison:
    before, after = values
    total = _change(sum(before.values()), sum(after.values()))
    deltas = _deltas(before, after)
    contributors = tuple(
        Contributor(
            path=path,
            base=before.get(path, 0),
            head=after.get(path, 0),
            delta=delta,
            share=part(delta, total.delta),
        )
        for path, delta in largest(deltas.items(), top)
    )
    categories = _categories(*groups, total.delta)
    changes = {} if inputs is None else _parameter_changes(*inputs)
    return Comparison(
        base=names[0],
        head=names[1],
        by=by,
        unit=UNITS[by],
        workload_changes=changes,
        total=total,
        relative_change=total.delta / total.base if total.base else None,
        contributors=contributors,
        other_contributors=total.delta - sum(contributor.delta for contributor in contributors),
        categories=categories,
        notes=notes,
        verdict=_verdict(by, total, deltas, categories, None if inputs is None else changes),
    )


def _analytic(run: Run) -> AnalyticReport | None:
    """Return the analytic view of a run; one of a command or of imported files need not have any."""
    is_expected = run.index.kind == "model" and ANALYTIC_REPORT not in run.left_out
    return analytic_report_of(run, "flops") if is_expected else run.report


def _inputs_of(
    base: Run, head: Run, reports: tuple[AnalyticReport | None, AnalyticReport | None]
) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return what the runs were of; None where that is the same by name, and what else it was is in no file."""
    if ANALYTIC_REPORT not in (*base.left_out, *head.left_out):
        return _inputs(reports[0]), _inputs(reports[1])
    named = [{"variant": run.index.variant, "workload": run.index.workload} for run in (base, head)]
    return (named[0], named[1]) if named[0] != named[1] else None


def _own_values(report: AnalyticReport, by: Measure) -> dict[str, int]:
    return {module.path: OWN_VALUES[by](module) for module in report.modules}


def _change(base: int, head: int) -> Change:
    return Change(base=base, head=head, delta=head - base)


def _deltas(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: after.get(name, 0) - before.get(name, 0) for name in before.keys() | after.keys()}


def _categories(before: Mapping[str, int], after: Mapping[str, int], total: int) -> tuple[CategoryChange, ...]:
    deltas = _deltas(before, after)
    return tuple(
        CategoryChange(
            name=name, base=before.get(name, 0), head=after.get(name, 0), delta=delta, share=part(delta, total)
        )
        for name, delta in largest(deltas.items(), len(deltas))
    )


def _parameter_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, ValueChange]:
    """Return what differs: variant, workload and architecture first, then parameters by name."""
    names = [*_NAMED, *sorted((before.keys() | after.keys()) - set(_NAMED))]
    return {
        name: ValueChange(base=before.get(name), head=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def _inputs(report: AnalyticReport | None) -> dict[str, Any]:
    if report is None:
        return {}
    return {**report.parameters, **{name: getattr(report, name) for name in _NAMED}}


def _verdict(
    by: Measure,
    total: Change,
    deltas: Mapping[str, int],
    categories: tuple[CategoryChange, ...],
    changes: Mapping[str, ValueChange] | None,
) -> str:
    """Say in one sentence what changed, by how much and mostly where."""
    name = {"flops": "FLOPs", "bytes": "bytes moved", "time": "times"}[by]
    changed = sum(1 for delta in deltas.values() if delta)
    cause = "" if changes is None else _cause(changes)
    if not changed:
        return f"{name} are the same in both runs ({format_quantity(total.base, by)}){cause}."
    if not total.delta:
        return (
            f"{name} are the same in total ({format_quantity(total.base, by)}), "
            f"but {_modules(changed)} differ{_mostly(categories, relative=False)}{cause}."
        )
    direction = "rise" if total.delta > 0 else "fall"
    relative = f" ({format_change(total.delta / total.base)})" if total.base else ""
    return (
        f"{name} {direction} from {format_quantity(total.base, by)} to {format_quantity(total.head, by)}{relative}"
        f"{_mostly(categories, relative=True)}; {_modules(changed)} differ{cause}."
    )


def _modules(count: int) -> str:
    return f"{count} module{'s' if count > 1 else ''}"


def _mostly(categories: tuple[CategoryChange, ...], *, relative: bool) -> str:
    if not categories:
        return ""
    share = f" ({format_share(categories[0].share)} of the change)" if relative else ""
    return f", mostly in {categories[0].name}{share}"


def _cause(changes: Mapping[str, ValueChange]) -> str:
    """Return the parameter changes as an addition to a sentence."""
    if not changes:
        return ", with the same workload"
    listed = [f"{name} {change.base} → {change.head}" for name, change in list(changes.items())[:VERDICT_CHANGES]]
    more = len(changes) - len(listed)
    return ", with " + ", ".join(listed) + (f" and {more} more changes" if more else "")
