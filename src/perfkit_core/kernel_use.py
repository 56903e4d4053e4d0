"""Kernels of a stage by what they do, set against the arithmetic and bytes that the analytic view has for that.

A profile attributes kernels to regions, and the regions that it sees are seldom single operations. What a kernel does
is in its name, and what has to be done is in the operations, so both can be added up by kind and compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from perfkit_core.counter_use import Counted, counted, counters_inside
from perfkit_core.kernel_kinds import HEAVY, LIGHT, KernelKind, kind_of
from perfkit_core.kernel_names import library_of, readable
from perfkit_core.recorded import is_inside
from perfkit_core.schema.analytic import AnalyticReport, OpRecord
from perfkit_core.schema.counters import CounterKernel
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import KernelRow
from perfkit_core.schema.run import DeviceRecord, Environment

KIND_OF_OP: Final[Mapping[str, KernelKind]] = {
    "attention": "attention",
    "linear": "matrix products",
    "matmul": "matrix products",
    "conv": "convolutions",
}
"""What kernels do the operations of the analytic view; all others move bytes."""

FUSIBLE: Final = "element-wise, norms and copies"
"""Name of all kinds in ``LIGHT`` together."""

_NOTICED: Final = 0.01
"""Part of the FLOPs below which it does not matter that no kernel is seen to do them, or of which type they are."""


class Peaks(NamedTuple):
    """Limits of the device, as the run recorded them.

    Attributes:
        flops_per_s: Dense peaks by element type, in FLOP/s; float32 that may use TF32 has its own.
        bandwidth: Peak memory bandwidth in bytes per second; None when unknown.
        device: Whether TF32 may be used; None when unknown.
    """

    flops_per_s: Mapping[str, float]
    bandwidth: float | None
    device: DeviceRecord | None

    def of(self, op: OpRecord) -> tuple[str, float | None]:
        """Return the element type whose peak an operation has, and that peak; None when it is unknown."""
        dtype = op.dtype
        if dtype == "float32" and self.device is not None and self.device.gpu is not None:
            allowed = self.device.tf32_conv if op.kind == "conv" else self.device.tf32_matmul
            dtype = "tfloat32" if allowed else dtype
        return dtype, self.flops_per_s.get(dtype)


def peaks_of(environment: Environment | None, metrics: Metrics | None) -> Peaks:
    """Return the peaks that ``env.json`` recorded, or ``metrics.json`` of a run from before it did; else none."""
    device = environment.device if environment else None
    if environment is not None and environment.peaks is not None:
        return Peaks(environment.peaks.flops_per_s, environment.peaks.memory_bandwidth, device)
    if metrics is None or metrics.peaks is None:
        return Peaks({}, None, device)
    found = {peak.dtype: peak.peak_flops_per_s for use in metrics.mfu for peak in use.peaks}
    return Peaks(found, metrics.peaks.memory_bandwidth, device)


class KindUse(NamedTuple):
    """All kernels of one kind in a stage, over a whole run.

    Attributes:
        kind: What they do; several kinds are joined where they cannot be told apart.
        members: The kinds.
        seconds: Their time, in seconds.
        share: Part of the stage's time, 0 to 1; can exceed 1 where kernels overlap.
        flops: FLOPs that the analytic view has for them.
        bytes: Least bytes for them.
        dtypes: Element types of the arithmetic, most FLOPs first, those of next to none left out.
        compute_seconds: What the FLOPs take at the device's peaks; None when a peak is unknown.
        memory_seconds: What the bytes take at peak bandwidth; None when it is unknown.
        counted: What hardware counters say of them.
        top: The kernel among them with the most time, with its library; empty without one.
    """

    kind: str
    members: tuple[KernelKind, ...]
    seconds: float
    share: float
    flops: int
    bytes: int
    dtypes: tuple[str, ...]
    compute_seconds: float | None
    memory_seconds: float | None
    counted: Counted
    top: str = ""

    @property
    def flops_per_s(self) -> float:
        """FLOPs that the analytic view has, the useful work, by kernel time."""
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def executed(self) -> float | None:
        """FLOPs that the kernels execute by those that are needed; None unless counters and formulas tell both.

        What was measured of too few of them tells nothing of the others.
        """
        rate = self.counted.flops_per_s if self.counted.is_telling else None
        return rate / self.flops_per_s if rate is not None and self.flops_per_s else None

    @property
    def peak_flops_per_s(self) -> float | None:
        """Dense peak for this mixture of element types, in FLOP/s; None when unknown or without FLOPs."""
        return self.flops / self.compute_seconds if self.compute_seconds else None

    @property
    def floor_seconds(self) -> float | None:
        """The longer of both times at the device's peaks, where those are unknown by the counters; None without."""
        known = [one for one in (self.compute_seconds, self.memory_seconds) if one]
        largest = self.counted.largest
        if known or largest is None:
            return max(known, default=None)
        return self.seconds * min(1.0, largest)

    @property
    def is_compute(self) -> bool:
        """Whether arithmetic, not bytes, is the longer one at the device's peaks."""
        if self.compute_seconds is None and self.memory_seconds is None:
            return (self.counted.peak or 0.0) >= (self.counted.dram or 0.0)
        return (self.compute_seconds or 0.0) >= (self.memory_seconds or 0.0)

    @property
    def peak_share(self) -> float | None:
        """Part of the peak that limits them: time at that peak by kernel time; None when it is unknown."""
        floor = self.floor_seconds
        return floor / self.seconds if floor is not None and self.seconds else None


@dataclass
class _Amount:
    """Arithmetic and bytes of one kind."""

    flops: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    compute_seconds: float = 0.0
    known: bool = True

    def add(self, op: OpRecord, peaks: Peaks) -> None:
        dtype, peak = peaks.of(op)
        self.bytes += op.bytes_read + op.bytes_written
        if op.flops:
            self.flops[dtype] += op.flops
            self.known = self.known and peak is not None
            self.compute_seconds += op.flops / peak if peak else 0.0


def kind_uses(
    stage: str,
    seconds: float,
    kernels: Sequence[KernelRow],
    factors: Mapping[str, float],
    analytic: AnalyticReport | None,
    peaks: Peaks,
    counters: Sequence[CounterKernel] = (),
) -> tuple[KindUse, ...]:
    """Return the kernels of a stage by kind, most time first.

    Args:
        stage: Region path of the stage.
        seconds: Time of the stage in a whole run.
        kernels: Kernels of the whole profile.
        factors: By how much the time of a region's kernels is multiplied to be of a whole run.
        analytic: What there is to do; None when that is unknown.
        peaks: Limits of the device.
        counters: Kernels with hardware counters, of any stage.
    """
    named: dict[KernelKind, Counter[str]] = defaultdict(Counter)
    for row in kernels:
        if is_inside(row.region, stage) and row.kind != "graph":
            named[kind_of(row.name, row.kind)][row.name] += round(row.total_ns * factors.get(row.region, 1.0))
    times = {kind: found.total() / 1e9 for kind, found in named.items()}
    amounts, here = _amounts(stage, analytic, peaks), counters_inside(stage, counters)
    uses = [
        _use(
            members, sum(times.get(kind, 0.0) for kind in members), seconds, _joined(amounts, members), peaks
        )._replace(
            counted=counted([one for one in here if kind_of(one.name) in members], factors),
            top=_top(members, named),
        )
        for members in _groups(times, amounts, analytic is not None)
    ]
    return tuple(sorted((use for use in uses if use.seconds), key=lambda use: -use.seconds))


def _top(members: Iterable[KernelKind], named: Mapping[KernelKind, Counter[str]]) -> str:
    together: Counter[str] = Counter()
    for kind in members:
        together.update(named.get(kind, {}))
    name = next((one for one, _ in together.most_common(1)), "")
    library = library_of(name) if name else ""
    return f"{library}'s {readable(name)}" if library else readable(name) if name else ""


def _amounts(stage: str, analytic: AnalyticReport | None, peaks: Peaks) -> dict[KernelKind, _Amount]:
    found: dict[KernelKind, _Amount] = defaultdict(_Amount)
    for module in () if analytic is None else analytic.modules:
        for op in module.ops if is_inside(module.path, stage) else ():
            # All that is light counts under one of its kinds: which kernel a library uses for it, it chooses itself.
            # What has FLOPs and no kind of its own, such as routed experts, is done by matrix products.
            other: KernelKind = "matrix products" if op.flops else LIGHT[0]
            found[KIND_OF_OP.get(op.kind, other)].add(op, peaks)
    return found


def _groups(
    times: Mapping[KernelKind, float], amounts: Mapping[KernelKind, _Amount], known: bool
) -> Iterable[tuple[KernelKind, ...]]:
    """Yield the kinds that can be told apart.

    A convolution or an attention may run as plain matrix products: where arithmetic has no kernels of its own kind, or
    fewer than the device could do it with, the kinds are taken together.
    """
    whole = sum(sum(amount.flops.values()) for amount in amounts.values())
    heavy = [kind for kind in HEAVY if times.get(kind) or (kind in amounts and amounts[kind].flops)]
    odd = [kind for kind in heavy if known and not _plausible(kind, times, amounts, whole)]
    joined = [kind for kind in heavy if kind in odd or (odd and kind == "matrix products")]
    yield from ([tuple(joined)] if joined else [])
    yield from ((kind,) for kind in heavy if kind not in joined)
    yield tuple(LIGHT)
    yield ("other",)


def _plausible(
    kind: KernelKind, times: Mapping[KernelKind, float], amounts: Mapping[KernelKind, _Amount], whole: int
) -> bool:
    amount = amounts.get(kind)
    flops = sum(amount.flops.values()) if amount is not None else 0
    if amount is None or flops < _NOTICED * whole:
        return True
    return times.get(kind, 0.0) >= max(amount.compute_seconds, 1e-12)


def _joined(amounts: Mapping[KernelKind, _Amount], members: Iterable[KernelKind]) -> _Amount:
    total = _Amount()
    for one in (amounts[kind] for kind in members if kind in amounts):
        total.flops.update(one.flops)
        total.bytes += one.bytes
        total.compute_seconds += one.compute_seconds
        total.known = total.known and one.known
    return total


def _use(members: tuple[KernelKind, ...], spent: float, seconds: float, amount: _Amount, peaks: Peaks) -> KindUse:
    flops = sum(amount.flops.values())
    return KindUse(
        kind=FUSIBLE if members == tuple(LIGHT) else " and ".join(members),
        members=members,
        seconds=spent,
        share=spent / seconds if seconds else 0.0,
        flops=flops,
        bytes=amount.bytes,
        dtypes=tuple(dtype for dtype, part in amount.flops.most_common() if part >= _NOTICED * flops),
        compute_seconds=amount.compute_seconds if amount.known and amount.flops else None,
        memory_seconds=amount.bytes / peaks.bandwidth if peaks.bandwidth and amount.bytes else None,
        counted=Counted(None, None, None),
    )
