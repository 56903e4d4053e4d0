"""Rows of the summary's first tables: the environment of a run and its figures as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from perfkit_core import rundir
from perfkit_core.gpu_states import pass_states
from perfkit_core.rundir import Run
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.run import DeviceRecord, Environment
from perfkit_core.units import (
    format_bytes,
    format_count,
    format_flops,
    format_intensity,
    format_ms,
    format_number,
    format_time,
)

_WEIGHTS: Final = "* Weights:"
"""What the line on weights begins with in ``assumptions.md``."""


class SummaryRow(NamedTuple):
    """A named figure.

    Attributes:
        name: What it is.
        value: The figure, with its unit.
        source: Where it comes from: a pass, a file or a formula.
    """

    name: str
    value: str
    source: str


def environment_rows(run: Run, environment: Environment | None) -> Iterator[SummaryRow]:
    """Yield where and with what a run was made; of an import only what its files say."""
    index = run.index
    passes = ", ".join(f"{done.backend} {done.status}" for done in index.passes)
    yield SummaryRow("run", f"{index.created[:16].replace('T', ' ')} UTC, perfkit {index.perfkit_version}", "run.json")
    if passes:
        yield SummaryRow("passes", passes, "run.json")
    for source in index.sources:
        yield SummaryRow("imported", f"{source.name}, of {source.tool or source.importer}", "run.json")
    here = environment if index.kind != "import" else None
    if here is not None and here.device is not None:
        yield from _device_rows(here.device)
    elif run.counters is not None and run.counters.device:
        yield SummaryRow("device", run.counters.device, "counters")
    for state in pass_states(run):
        named = f"{state.name}/{rundir.SESSION}" if state.name else rundir.ENVIRONMENT
        yield SummaryRow(f"GPU, {state.name or 'last pass'}", state.text, named)
    if here is not None:
        yield SummaryRow("python", f"{here.python}, {here.platform}", "env.json")
    report = run.report
    if report is not None:
        values = ", ".join(
            f"{name}={_text(value)}" for name, value in report.parameters.items() if value not in ("", None)
        )
        yield SummaryRow("workload", f"{report.workload}: {values}", "config.yaml")
    if report is not None and index.kind == "model":
        yield SummaryRow("rests on", "; ".join(_grounds(run)), rundir.ASSUMPTIONS)


def _grounds(run: Run) -> Iterator[str]:
    """Yield what the figures rest on: weights, whether formulas were verified, and whether memory was measured."""
    if run.has(rundir.ASSUMPTIONS):
        lines = (run.path / rundir.ASSUMPTIONS).read_text(encoding="utf-8").splitlines()
        told = next((line.removeprefix(_WEIGHTS).strip() for line in lines if line.startswith(_WEIGHTS)), "")
        if told:
            # Where a checkpoint lies is nobody's business on a page that is passed on.
            yield f"weights: {'of a checkpoint' if told.startswith('read from ') else told.partition(';')[0]}"
    if run.verification is None:
        yield "formulas not verified in this run"
    else:
        verdict = "passed" if run.verification.passed else "failed"
        yield f"formulas compared with the real modules: {verdict}"
    measured = run.metrics is not None and bool(run.metrics.memory)
    yield "memory measured" if measured else "memory estimated, not measured"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _device_rows(device: DeviceRecord) -> Iterator[SummaryRow]:
    gpu = device.gpu
    if gpu is not None:
        text = f"{gpu.name}, {format_bytes(gpu.memory_bytes)}, driver {gpu.driver or 'unknown'}"
        yield SummaryRow("device", f"{text} ({device.device})", "env.json")
    else:
        yield SummaryRow("device", f"{device.processor or device.device}, {device.threads} threads", "env.json")
    cuda = f", CUDA {device.cuda}, cuDNN {device.cudnn}" if device.cuda else ""
    yield SummaryRow("torch", f"{device.torch}{cuda}", "env.json")


def aggregate_rows(run: Run, sources: Mapping[str, str], stages: str = "") -> Iterator[SummaryRow]:
    """Yield figures of the whole run: measured ones first, then those of a profile, then those by formula.

    Args:
        run: The run.
        sources: Passes by what they measured, as in ``Findings.sources``.
        stages: Time of all stages and what it rests on, where it was scaled; empty where it was not.
    """
    if run.metrics is not None:
        yield from _measured_rows(run.metrics, sources["times"])
    if stages:
        yield SummaryRow("time of all stages", stages, sources["kernels"])
    if run.profile is not None:
        yield from _profile_rows(run.profile, sources["kernels"])
    report = run.report
    if report is not None:
        totals, moved = report.totals, report.totals.bytes_read + report.totals.bytes_written
        yield SummaryRow("FLOPs", format_flops(totals.flops), "analytic")
        intensity = f" ({format_intensity(totals.flops / moved)})" if moved else ""
        yield SummaryRow("least bytes moved", f"{format_bytes(moved)}{intensity}", "analytic")
        weights = f"{format_count(totals.parameters)}, {format_bytes(totals.weight_bytes)}"
        yield SummaryRow("parameters", weights, "analytic")
        yield SummaryRow("peak memory, estimated", format_bytes(totals.peak_memory_bytes), "analytic")


def _measured_rows(metrics: Metrics, source: str) -> Iterator[SummaryRow]:
    aggregates = metrics.aggregates
    whole = aggregates.run_ms
    interval = ""
    if whole.ci_low is not None and whole.ci_high is not None:
        interval = f", 95 % interval {format_ms(whole.ci_low)} to {format_ms(whole.ci_high)}"
    yield SummaryRow("time of one run", f"{format_ms(whole.mean)}{interval}, of {whole.n}", source)
    for name, rate in aggregates.throughput.items():
        yield SummaryRow(
            f"throughput, {name.removesuffix('_per_s')}, mean of the runs",
            f"{format_number(rate.mean)} per second",
            source,
        )
    if aggregates.ttft_ms is not None:
        yield SummaryRow("time to the first token", format_ms(aggregates.ttft_ms.mean), source)
    if aggregates.time_per_output_token_ms is not None:
        yield SummaryRow("time per output token", format_ms(aggregates.time_per_output_token_ms.mean), source)
    for unit, energy in aggregates.energy_per_unit_j.items():
        yield SummaryRow(f"energy for each of the {unit}", f"{format_number(energy.mean)} J", source)
    if metrics.memory:
        most = max(sample.allocated_bytes for sample in metrics.memory.values())
        yield SummaryRow("peak memory, measured", format_bytes(most), source)


def _profile_rows(profile: RegionsReport, source: str) -> Iterator[SummaryRow]:
    totals = profile.totals
    if totals.kernels:
        text = f"{totals.kernels} taking {format_time(totals.total_ns)}"
        outside = f", {format_time(totals.outside_ns)} outside every region" if totals.outside_ns else ""
        yield SummaryRow("kernels as recorded", f"{text}{outside}", source)
    elif totals.cpu_time:
        yield SummaryRow("processor time as recorded", format_time(totals.cpu_time), source)
    if totals.idle_time is not None and totals.kernels:
        idle = format_time(totals.idle_time)
        if totals.busy_ns is not None:
            # Their sum is no span: while only copies or sets run, the GPU is neither idle nor in a kernel.
            idle += f"; a kernel runs for {format_time(totals.busy_ns)}, copies or sets alone are neither"
        yield SummaryRow("GPU idle as recorded", idle, source)
