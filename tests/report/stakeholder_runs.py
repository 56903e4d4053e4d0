"""Runs made of records, for tests of what reports conclude from them: every figure is a parameter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from perfkit_core.rundir import Run
from perfkit_core.schema.analytic import AnalyticReport, ModuleRecord, OpRecord, StageRecord, Totals
from perfkit_core.schema.counters import CounterKernel, CounterRegion, CountersReport, Efficiency
from perfkit_core.schema.metrics import Aggregates, DevicePeaks, Metrics, Peak, StageTime, Utilisation
from perfkit_core.schema.regions import KernelRow, OperatorRow, RegionRow, RegionsReport, RegionTotals
from perfkit_core.schema.run import PassRecord, RunIndex

PEAK = 1e15
BANDWIDTH = 4e12

ATTENTION = "cudnn_generated_fort_native_sdpa_sm90_flash_fprop"
PRODUCT = "nvjet_sm90_tst_192x192_64x4_1x2_h_bz_coopB_bias_TNN"
LIGHT = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >"


@dataclass
class Work:
    """What a stage has to do and does; times are of a whole run in seconds.

    Attributes:
        seconds: Unprofiled time.
        kernels: Seconds by name of kernel.
        count: Kernels of each of these names in one iteration.
        flops: FLOPs by kind of operation.
        nbytes: Least bytes by kind of operation.
        steps: Iterations of the loop inside; 1 for none.
        seen: Iterations that the profile has.
        spread: Half of the 95 % interval, as a part of the mean.
        launches: API calls that launch the kernels of one iteration; None where the profiler does not tell.
    """

    seconds: float
    kernels: dict[str, float] = field(default_factory=dict)
    count: int = 10
    flops: dict[str, int] = field(default_factory=lambda: {"linear": 10**12})
    nbytes: dict[str, int] = field(default_factory=lambda: {"linear": 10**9})
    steps: int = 1
    seen: int = 1
    spread: float = 0.01
    launches: int | None = None

    def inner(self, path: str) -> str:
        """Return the region that the kernels run in."""
        return f"{path}/step" if self.steps > 1 else path


def counter(name: str, where: str, seconds: float, **shares: float | str) -> CounterKernel:
    """Return the counters of one kernel in one region, by that region's time in the profile."""
    return CounterKernel.model_construct(
        name=name, where=where, domain="perfkit", total_ns=round(1e9 * seconds), measured_calls=1,
        efficiency=Efficiency.model_construct(**shares),
    )  # fmt: skip


def run_of(
    stages: dict[str, Work], *, metrics: bool = True, profile: bool = True,
    counters: bool | dict[str, float] | list[CounterKernel] = False, parameters: dict[str, object] | None = None,
    kind: str = "model", idle: bool = False, outside: float = 0.0, sample: bool = False,
) -> Run:  # fmt: skip
    """Return a run with the records asked for.

    Args:
        stages: Stages by path.
        metrics: Whether there are unprofiled times.
        profile: Whether there is a profile.
        counters: Whether there are hardware counters, and what they say of attention where that is not the usual, or
            of which kernels.
        parameters: Parameters of model and workload.
        kind: A model, a command or an import.
        idle: Whether the profile has idle time: what the kernels of a stage leave of its seconds.
        outside: Idle seconds on the timeline outside of every stage.
        sample: Whether the profile is what counters alone recorded: the kernels that were measured.
    """
    analytic = _analytic(stages, {"compile": "none", "attention": "sdpa", "batch_size": 1} | (parameters or {}))
    index = RunIndex(
        perfkit_version="0.1.0", created="2026-01-02T03:04:05.000+00:00", status="done", kind=kind,
        model="m" if kind == "model" else "", variant="v" if kind == "model" else "",
        workload="w" if kind == "model" else "", plugins=(), settings_origins={}, totals=None, stages=(),
        command=("train", "--fast") if kind == "command" else (), files=("run.json",),
        passes=(PassRecord(backend="analytic", status="done", seconds=0),),
        file_passes={"regions.json": "passes/02-torch", "ncu/regions/report.json": "passes/03-ncu"},
    )  # fmt: skip
    run = Run(path=Path("nowhere"), index=index)
    run.__dict__["report"] = analytic if kind == "model" else None
    run.__dict__["metrics"] = _metrics(stages) if metrics else None
    run.__dict__["profile"] = _profile(stages, idle, outside) if profile else None
    if sample:
        run.__dict__["profile"] = run.profile.model_copy(update={"profiler": "Nsight Compute"})
    usual = {"peak_share": 0.625, "dram_share": 0.125}
    run.__dict__["counters"] = (
        _counters(stages, usual if counters is True else counters) if counters is not False else None
    )
    run.__dict__["verification"] = None
    return run


def _analytic(stages: dict[str, Work], parameters: dict[str, object]) -> AnalyticReport:
    modules = tuple(one for path, work in stages.items() for one in _modules(path, work))
    outer = [one for one in modules if one.path in stages]
    return AnalyticReport(
        model="m", variant="v", workload="w", architecture="bundled", parameters=parameters, geometry={},
        totals=Totals(
            flops=sum(one.flops for one in outer), elementwise_flops=0, parameters=7, weight_bytes=14,
            bytes_read=sum(one.bytes_read for one in outer), bytes_written=0, kv_cache_bytes=0, peak_memory_bytes=99,
        ),
        stages=tuple(
            StageRecord(
                path=one.path, calls=1, flops=one.flops, elementwise_flops=0, bytes_read=one.bytes_read,
                bytes_written=0, parameters=7, weight_bytes=14, peak_activation_bytes=3,
            )
            for one in outer
        ),
        categories=(), modules=modules, notes=(), not_modelled=(),
    )  # fmt: skip


def _modules(path: str, work: Work) -> list[ModuleRecord]:
    """Return the stage and, where it has a loop, what that calls in every iteration."""
    whole = _module(path, work)
    if work.steps == 1:
        return [whole]
    step = whole.model_copy(update={"path": f"{path}/step", "calls": work.steps})
    return [whole.model_copy(update={"ops": (), "own_flops": 0, "own_bytes_read": 0}), step]


def _module(path: str, work: Work) -> ModuleRecord:
    ops = tuple(
        OpRecord(
            kind=kind, name=kind, dims={}, dtype="bfloat16", calls=1, flops=work.flops.get(kind, 0),
            bytes_read=work.nbytes.get(kind, 0), bytes_written=0,
        )
        for kind in dict.fromkeys((*work.flops, *work.nbytes))
    )  # fmt: skip
    flops, moved = sum(work.flops.values()), sum(work.nbytes.values())
    return ModuleRecord(
        path=path, kind="block", category="c", calls=1, flops=flops, own_flops=flops, elementwise_flops=0,
        own_elementwise_flops=0, parameters=7, own_parameters=7, weight_bytes=14, own_weight_bytes=14, bytes_read=moved,
        own_bytes_read=moved, bytes_written=0, own_bytes_written=0, activation_bytes=0, own_activation_bytes=0, ops=ops,
    )  # fmt: skip


def _time(path: str, seconds: float, work: Work | None, *, per: str = "run", instances: int = 1) -> StageTime:
    mean = 1e3 * seconds / (instances if per == "iteration" else 1)
    spread = work.spread if work else 0.01
    return StageTime(
        mean=mean, std=0, min=mean, median=mean, p95=mean, ci_low=mean * (1 - spread), ci_high=mean * (1 + spread), n=3,
        path=path, per=per, nested_in=path.partition("/")[0] if "/" in path else "", instances=instances,
        scaled_from=None, scaled_to=None, first_ms=None,
    )  # fmt: skip


def _metrics(stages: dict[str, Work]) -> Metrics:
    loops = {
        path: _time(f"{path}/step", work.seconds, work, per="iteration", instances=work.steps)
        for path, work in stages.items()
        if work.steps > 1
    }
    return Metrics(
        source_pass="passes/01-wall_clock", complete=True, device="cuda:0", device_name="GPU", clock="cuda_events",
        repeats=3, warmup=1, units={}, memory={}, outside_ns=0, mfu=tuple(_use(*one) for one in stages.items()),
        peaks=DevicePeaks(name="gpu", reported="GPU", source="a data sheet", memory_bandwidth=BANDWIDTH),
        mfu_missing="",
        region_overhead_ns=0, region_overhead_share=0, hidden={}, warnings=(), loaded_bytes=None, regions=(),
        aggregates=Aggregates(
            run_ms=_time("", sum(work.seconds for work in stages.values()), None),
            stage_ms={path: _time(path, work.seconds, work) for path, work in stages.items()}, step_ms=loops,
            throughput={}, ttft_ms=None, time_per_output_token_ms=None, energy_j=None,
        ),
    )  # fmt: skip


def _use(path: str, work: Work) -> Utilisation:
    flops, moved = sum(work.flops.values()), sum(work.nbytes.values())
    return Utilisation(
        path=path, flops=flops, seconds=work.seconds, mfu=flops / PEAK / work.seconds, bytes=moved,
        bandwidth_share=moved / BANDWIDTH / work.seconds, floor_seconds=max(flops / PEAK, moved / BANDWIDTH),
        peaks=(Peak(dtype="bfloat16", flops=flops, peak_flops_per_s=PEAK),), nested_in="",
    )  # fmt: skip


def _profile(stages: dict[str, Work], idle: bool, outside: float) -> RegionsReport:
    regions, kernels, operators = [], [], []
    for path, work in stages.items():
        part = work.seen / work.steps
        busy, count = round(1e9 * sum(work.kernels.values()) * part), work.count * len(work.kernels) * work.seen
        left = max(0.0, work.seconds - sum(work.kernels.values()))
        inner = work.inner(path)
        paths = {path: (0 if inner != path else count, 1), inner: (count, work.seen if inner != path else 1)}
        for one, (own, instances) in paths.items():
            made = None if work.launches is None else work.launches * work.seen * bool(own)
            regions.append(
                RegionRow(
                    domain="perfkit", path=one, process=None, device=None, inclusive_ns=busy,
                    exclusive_ns=busy if own else 0,
                    inclusive_kernels=count, exclusive_kernels=own, busy_ns=busy, span_ns=busy, instances=instances,
                    idle_time=round(1e9 * left * part) if idle else None, exclusive_launches=made,
                )
            )  # fmt: skip
        for name, seconds in work.kernels.items():
            spent = round(1e9 * seconds * part)
            kernels.append(
                KernelRow(
                    region=inner, device=0, kind="kernel", name=name, grid="", block="", calls=work.count * work.seen,
                    total_ns=spent,
                )
            )  # fmt: skip
            operators.append(
                OperatorRow(
                    region=inner, name=f"aten::{len(operators)}", calls=1, self_cpu_time=1, self_device_time=spent
                )
            )
    return RegionsReport(
        profiler="torch.profiler", limits=(), regions=tuple(regions), kernels=tuple(kernels),
        operators=tuple(operators),
        totals=RegionTotals(
            kernels=sum(row.calls for row in kernels), total_ns=sum(row.total_ns for row in kernels), outside_ns=0,
            unattributed={}, busy_ns=sum(row.total_ns for row in kernels),
            idle_time=round(1e9 * outside) + sum(row.idle_time for row in regions if "/" not in row.path)
            if idle else None,
        ),
    )  # fmt: skip


def _counters(stages: dict[str, Work], kernels: dict[str, float] | list[CounterKernel]) -> CountersReport:
    """Return what conclusions look at, and nothing else of the record."""
    bound = {"measured_share": 0.875, "bound": "compute", "reason": "the tensor cores at 62.5 %", "domain": "perfkit"}
    regions = tuple(
        CounterRegion.model_construct(
            path=path, parent=None, inclusive_ns=round(1e9 * sum(work.kernels.values())), inclusive_kernels=10, **bound
        )
        for path, work in stages.items()
    )
    if isinstance(kernels, dict):
        kernels = [counter(ATTENTION, work.inner(path), 1e-8, **kernels) for path, work in stages.items()]
    return CountersReport.model_construct(
        profiler="Nsight Compute", device="GPU 9", regions=regions, kernels=tuple(kernels)
    )
