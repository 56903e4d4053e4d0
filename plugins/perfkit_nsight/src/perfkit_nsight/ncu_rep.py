"""``.ncu-rep`` reports, read with NVIDIA's package ``ncu-report``: no GPU and no Nsight needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.importer import ImportContext, Imported
from perfkit_nsight.ncu_session import session_of
from perfkit_nsight.results import DURATION, Counters, Result, columns_of, report_of
from perfkit_nsight.tables import TIMES

_MAGIC = b"NVR\0"
_TOOL = "Nsight Compute"
_DEFAULT = "<default domain>"
_MESSAGES = {1: "INF", 2: "OPT", 3: "WRN", 4: "ERR"}
_GAINS = {1: "local", 2: "global"}
"""Kinds of messages and of estimates, as ncu's own pages call what the package numbers."""


def sniff(path: Path, head: bytes) -> bool:
    """Tell whether a file is a report of ncu."""
    return head.startswith(_MAGIC)


def load(context: ImportContext) -> Imported:
    """Read all results, their metrics and what ncu's rules said.

    Raises:
        DamagedFileError: It is no report, damaged or cut off, or it has no results.
        MissingError: The package cannot be loaded here.
    """
    from perfkit_nsight.counter_report import importing

    found = read_counters(context.path)
    report = report_of(found.results, profiler=found.profiler, limits=())
    files = {"launches.json": columns_of(found.results, found.metrics, found.rules)}
    return Imported(tool=_TOOL, report=report, files=files, counters=importing(found, context.options))


def read_counters(path: Path) -> Counters:
    """Return the results of a report, their metrics and what ncu's rules said.

    Raises:
        DamagedFileError: It is no report, damaged or cut off, or it has no results.
        MissingError: The package cannot be loaded here.
    """
    with _damage(path):
        actions = _actions(path)
    if not actions:
        # The library opens whatever it is given, and finds nothing in what is no report.
        raise DamagedFileError(
            f"{path} has no results: it is no report of ncu, is damaged, or nothing was profiled",
            fix="profile again, and check ncu's filters",
        )
    with _damage(path):
        results = [_result(place, action) for place, action in enumerate(actions)]
        session = session_of(path, whole=not any(one.is_kernel for one in results))
        return Counters(
            profiler=f"{_TOOL} {session.version}".rstrip(),
            replay=session.replay,
            results=results,
            metrics=_metrics(actions),
            rules=list(_rules(actions)),
        )


def _actions(path: Path) -> list[Any]:
    try:
        import ncu_report
    except (ImportError, OSError) as error:
        raise MissingError(
            f"{path} cannot be read: the package ncu-report cannot be loaded ({error})", fix="pip install ncu-report"
        ) from None
    report = ncu_report.load_report(str(path))
    ranges = [] if report is None else [report.range_by_idx(place) for place in range(report.num_ranges())]
    return [whole.action_by_idx(number) for whole in ranges for number in range(whole.num_actions())]


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what the library makes of a damaged report into the error that names the file."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, AttributeError, OSError, MemoryError) as error:
        raise DamagedFileError(
            f"{path} is damaged or cut off: {' '.join(str(error).split()):.200}",
            fix="profile again; a report of a newer ncu needs a newer package: pip install -U ncu-report",
        ) from error


def _result(place: int, action: Any) -> Result:
    if not action.name():  # what the library makes of a kernel that is not all there
        raise ValueError(f"result {place} has no name")
    kernel = action.workload_type() == action.WorkloadType_KERNEL if hasattr(action, "workload_type") else True
    return Result(
        number=place,
        name=action.name(action.NameBase_DEMANGLED) or action.name(),
        short=action.name(),
        process=_whole(action, "profiler__process_id", "process__id"),
        device=_device(action),
        grid=_size(action, "launch__grid_dim"),
        block=_size(action, "launch__block_dim"),
        duration_ns=_duration(action),
        is_kernel=kernel,
        stacks=_stacks(action),
        mangled=action.name(action.NameBase_MANGLED),
        passes=_whole(action, "profiler__replayer_passes"),
    )


def _duration(action: Any) -> int | None:
    metric = action.metric_by_name(DURATION)
    if metric is None:
        return None
    factor = TIMES.get(metric.unit())
    return None if factor is None else round(metric.as_double() * factor)


def _stacks(action: Any) -> dict[str, tuple[str, ...]]:
    state = action.nvtx_state()
    found: dict[str, tuple[str, ...]] = {}
    for number in () if state is None else state.domains():
        domain = state.domain_by_id(number)
        ranges = tuple(domain.push_pop_ranges())
        if ranges:
            name = domain.name()
            found["" if name == _DEFAULT else name] = ranges
    return found


def _metrics(actions: list[Any]) -> list[dict[str, Any]]:
    """Return a column per metric; the unit is the report's own, and has a column where it changes."""
    names = dict.fromkeys(name for action in actions for name in action.metric_names())
    columns: list[dict[str, Any]] = []
    for name in names:
        found = [action.metric_by_name(name) for action in actions]
        units = ["" if metric is None else metric.unit() for metric in found]
        distinct = {unit for unit, metric in zip(units, found, strict=True) if metric is not None}
        unit = {"unit": distinct.pop()} if len(distinct) == 1 else {"units": units}
        columns.append({"name": name, **unit, "values": [_plain(metric) for metric in found]})
    return columns


def _plain(metric: Any) -> int | float | str | None:
    value = None if metric is None or not metric.has_value() else metric.value()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _rules(actions: list[Any]) -> Iterator[dict[str, Any]]:
    for place, action in enumerate(actions):
        for rule in action.rule_results():
            message = rule.rule_message() if rule.has_rule_message() else {}
            speedup = rule.speedup_estimation() if rule.has_speedup_estimation() else {}
            yield {
                "launch": place,
                "section": rule.section_identifier(),
                "rule": rule.name(),
                "type": _MESSAGES.get(message.get("type", 0), ""),
                "message": str(message.get("message", "")),
                "speedup": speedup.get("speedup"),
                "speedup_type": _GAINS.get(speedup.get("type", 0), ""),
            }


def _whole(action: Any, *names: str) -> int | None:
    for name in names:
        metric = action.metric_by_name(name)
        if metric is not None and metric.has_value():
            return int(metric.as_uint64())
    return None


def _device(action: Any) -> int:
    found = _whole(action, "launch__device_id", "device__attribute_display_id")
    return -1 if found is None else found


def _size(action: Any, name: str) -> str:
    parts = [_whole(action, f"{name}_{axis}") for axis in "xyz"]
    return "" if None in parts else ",".join(str(part) for part in parts)
