"""``metrics.json`` from the samples of one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

from perfkit_core.backend import RunContext
from perfkit_core.backends.mfu import HOW_TO_ADD, bytes_moved, flops_by_type, match_device, utilisation
from perfkit_core.backends.samples import RunTotal, mean, region_times, totals
from perfkit_core.costtree import CostTree
from perfkit_core.environment import known_peaks
from perfkit_core.schema.metrics import (
    Aggregates,
    Metrics,
    RegionTime,
    StageTime,
    Statistics,
    Utilisation,
)
from perfkit_core.schema.session import MemorySample, RunSample, Session
from perfkit_core.specs import DeviceSpec
from perfkit_core.stage_table import run_ms
from perfkit_core.statistics import summary

QUIET_SPREAD = 0.05
"""Standard deviation over mean of the whole run, above which the machine was not quiet."""

Kind = Literal["plain", "detailed"]

_MS = 1_000_000


def metrics(
    runs: Sequence[RunSample], session: Session, context: RunContext, *, source: str, overhead: Mapping[str, float]
) -> Metrics:
    """Return the metrics of at least one measured run.

    Args:
        runs: Warm-up, measured and detailed runs in order.
        session: What the worker recorded.
        source: Directory of the pass.
        overhead: What a region (``region_ns``) and a stage (``stage_ns``) cost on the host.
    """
    counted = [run for run in runs if not run.warmup]
    plain = [run for run in counted if not run.detailed] or counted
    inside = [run for run in counted if run.detailed]
    measured, detailed = [totals(run) for run in plain], [totals(run) for run in inside]
    first = totals(runs[0]) if runs[0].warmup else None
    aggregates = _aggregates(plain, measured, detailed, first, session.units)
    device = session.device
    spec = match_device(device.gpu.name, context.devices) if device.gpu else None
    regions = region_times(detailed or measured)
    table, missing = _mfu(context.tree, aggregates, regions, session, spec)
    gpu_name = device.gpu.name if device.gpu else device.processor
    return Metrics(
        source_pass=source,
        complete=session.complete,
        device=device.device,
        device_name=gpu_name,
        clock="host" if device.gpu is None else "cuda_events",
        repeats=len(plain),
        warmup=len(runs) - len(counted),
        detailed=len(inside),
        aggregates=aggregates,
        units=session.units,
        memory=_memory(runs),
        loaded_bytes=session.loaded_bytes,
        regions=regions,
        outside_ns=round(mean([Fraction(run.outside) for run in detailed or measured])),
        peaks=known_peaks(gpu_name, context.devices) if device.gpu else None,
        mfu=table,
        mfu_missing=missing,
        region_overhead_ns=overhead["region_ns"],
        stage_overhead_ns=overhead["stage_ns"],
        region_overhead_share=_overhead(plain[-1], overhead),
        detailed_run_ms=float(mean([run.whole for run in detailed])) / _MS if detailed else None,
        hidden=session.hidden,
        warnings=tuple(_warnings(aggregates, session)),
    )


def _overhead(run: RunSample, cost: Mapping[str, float]) -> float:
    """Return the part of a run that its regions cost the host."""
    stages = len({region.path for region in run.regions if region.parent < 0})
    spent = cost["stage_ns"] * stages + cost["region_ns"] * (len(run.regions) - stages)
    return min(1.0, spent / run.wall_ns) if run.wall_ns else 0.0


def _aggregates(
    samples: Sequence[RunSample],
    runs: Sequence[RunTotal],
    detailed: Sequence[RunTotal],
    first: RunTotal | None,
    units: Mapping[str, float],
) -> Aggregates:
    whole = [float(run.whole) for run in runs]
    energy = [sample.energy_mj / 1000 for sample in samples if sample.energy_mj is not None]
    names = _names([*runs, *detailed])
    return Aggregates(
        run_ms=_whole(runs, first),
        stage_ms={
            name: _stage(path, runs, first) if path in runs[0].regions else _stage(path, detailed, first, "detailed")
            for name, path in names.items()
        },
        step_ms={
            name: _iteration(path, runs)
            for name, path in names.items()
            if path in runs[0].regions and runs[0].regions[path].is_loop
        },
        throughput={
            f"{unit}_per_s": statistics([amount / (value / 1e9) for value in whole]) for unit, amount in units.items()
        },
        ttft_ms=_instances("prefill", runs),
        time_per_output_token_ms=_instances("decode", runs),
        energy_j=statistics(energy) if energy else None,
        energy_per_unit_j=_energy_per_unit(samples, whole, units),
    )


def _energy_per_unit(
    samples: Sequence[RunSample], whole: Sequence[float], units: Mapping[str, float]
) -> dict[str, Statistics]:
    """Return joules per unit: iterations that were left out would have drawn the same power as those measured."""
    used = [
        sample.energy_mj / 1000 * time / sample.wall_ns
        for sample, time in zip(samples, whole, strict=True)
        if sample.energy_mj is not None and sample.wall_ns
    ]
    return {unit: statistics([joules / amount for joules in used]) for unit, amount in units.items() if used and amount}


def statistics(values: Sequence[float]) -> Statistics:
    """Return the record of repeated values."""
    return Statistics.model_validate(summary(values)._asdict())


def _names(runs: Sequence[RunTotal]) -> dict[str, str]:
    """Return the paths that the workload named, by last segment where that is unique, else by path."""
    # The detailed runs come last and have every region, parents before children.
    paths = [path for path, region in runs[-1].regions.items() if region.is_named]
    last = [path.rpartition("/")[2] for path in paths]
    return {name if last.count(name) == 1 else path: path for name, path in zip(last, paths, strict=True)}


def _whole(runs: Sequence[RunTotal], first: RunTotal | None) -> StageTime:
    regions = runs[0].regions
    sampled = [region for path, region in regions.items() if region.measured and "/" not in path]
    return _time(
        "",
        [float(run.whole) / _MS for run in runs],
        per="run",
        kind="plain",
        instances=1,
        sampling=(sum(one.measured for one in sampled), sum(one.total for one in sampled)),
        first=None if first is None else first.spent / _MS,
        executed=sum(one.executed for path, one in first.regions.items() if "/" not in path) if first else 0,
    )


def _stage(path: str, runs: Sequence[RunTotal], first: RunTotal | None, kind: Kind = "plain") -> StageTime:
    """Time of a region per run; of a loop inside a stage, per iteration."""
    region = runs[0].regions[path]
    if region.is_loop and "/" in path:
        return _iteration(path, runs, kind)
    early = first.regions.get(path) if first else None
    return _time(
        path,
        [float(run.regions[path].inclusive) / _MS for run in runs if path in run.regions],
        per="run",
        kind=kind,
        instances=round(region.instances),
        sampling=(region.measured, region.total),
        first=None if early is None else early.spent / _MS,
        executed=early.executed if early else 0,
    )


def _iteration(path: str, runs: Sequence[RunTotal], kind: Kind = "plain") -> StageTime:
    regions = [run.regions[path] for run in runs if path in run.regions]
    return _time(
        path,
        [float(value) / _MS for region in regions for value in region.values],
        per="iteration",
        kind=kind,
        instances=round(regions[0].instances),
        sampling=(regions[0].measured, regions[0].total),
        first=regions[0].first / _MS if regions[0].first else None,
    )


def _time(
    path: str,
    values: Sequence[float],
    *,
    per: Literal["run", "iteration"],
    kind: Kind,
    instances: int,
    sampling: tuple[int, int],
    first: float | None,
    executed: int = 0,
) -> StageTime:
    measured, total = sampling
    return StageTime(
        **summary(values)._asdict(),
        path=path,
        per=per,
        nested_in=_nested_in(path),
        runs=kind,
        instances=instances,
        scaled_from=measured or None,
        scaled_to=total or None,
        first_ms=first,
        first_iterations=executed or None,
    )


def _instances(path: str, runs: Sequence[RunTotal]) -> Statistics | None:
    values = [float(value) / _MS for run in runs if path in run.regions for value in run.regions[path].values]
    return statistics(values) if values else None


def _nested_in(path: str) -> str:
    stage, slash, _ = path.partition("/")
    return stage if slash else ""


def _memory(runs: Sequence[RunSample]) -> dict[str, MemorySample]:
    found: dict[str, MemorySample] = {}
    for run in runs:
        for stage, sample in run.memory.items():
            known = found.get(stage, sample)
            found[stage] = MemorySample(
                start_bytes=max(known.start_bytes, sample.start_bytes),
                allocated_bytes=max(known.allocated_bytes, sample.allocated_bytes),
                reserved_bytes=max(known.reserved_bytes, sample.reserved_bytes),
            )
    return found


def _mfu(
    tree: CostTree | None,
    aggregates: Aggregates,
    regions: Sequence[RegionTime],
    session: Session,
    spec: DeviceSpec | None,
) -> tuple[tuple[Utilisation, ...], str]:
    gpu = session.device.gpu
    if gpu is None:
        return (), f"no peak is known for the CPU: {HOW_TO_ADD}"
    if spec is None:
        return (), f"no peak is known for {gpu.name!r}: {HOW_TO_ADD}"
    if tree is None:
        return (), "the analytic model failed, so the FLOPs are unknown"
    flops, moved = flops_by_type(tree, session.device), bytes_moved(tree)
    seconds = {region.path: region.inclusive_ns / 1e9 for region in regions}
    seconds |= {time.path: run_ms(time) / 1000 for time in aggregates.stage_ms.values()}
    found = [utilisation("", run_ms(aggregates.run_ms) / 1000, flops[""], moved[""], spec, "")]
    for path, time in seconds.items():
        found.append(utilisation(path, time, flops.get(path, {}), moved.get(path, 0), spec, _nested_in(path)))
    table = tuple(one for one in found if one is not None)
    return table, "" if table else f"{spec.name} has no peak for the element types of this workload"


def _warnings(aggregates: Aggregates, session: Session) -> list[str]:
    whole, found = aggregates.run_ms, list(session.notes)
    if not session.complete:
        found.append(f"the pass ended early: {whole.n} runs were finished")
    if whole.std is not None and whole.std > QUIET_SPREAD * whole.mean:
        found.append(
            f"the machine was not quiet: runs spread by {100 * whole.std / whole.mean:.3g} % (standard deviation); "
            "repeat on an idle machine or with more --repeats"
        )
    return found
