"""What metrics of ncu say in fixed terms: FLOPs, bytes, shares of peaks, intensity.

Tensor cores count operations by the type of their inputs (``sm__ops_path_tensor_src_*``): on an H200 exactly 2·m·n·k
of a product. Chips without these metrics have no number here, never 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from perfkit_core.schema.counters import Efficiency
from perfkit_nsight.counter_values import Value, Values, weighted_mean

if TYPE_CHECKING:
    from perfkit_core.specs import DeviceSpec

COMPUTE: Final = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
MEMORY: Final = "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"
DRAM: Final = (
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed",
)
OCCUPANCY: Final = "sm__warps_active.avg.pct_of_peak_sustained_active"
TENSOR: Final = "sm__ops_path_tensor_src_"

_TENSOR: Final = re.compile(rf"{TENSOR}(?P<type>\w+?)(?P<to>_dst_[^_]+)?(?P<sparse>_sparsity_(?:on|off))?\.sum")
_TYPES: Final = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "tf32": "tfloat32",
    "fp8": "float8_e4m3fn",
    "fp4": "float4_e2m1fn_x2",
    "fp64": "float64",
}
_COMMON: Final = frozenset({"bf16", "fp16", "tf32"})
_CORES: Final = (("f", "float32", 1), ("d", "float64", 1), ("h", "float16", 2))
"""Letter of an instruction, its type, and values that one thread works on.

Instructions on halves take two at a time: NVIDIA's own roofline counts an HFMA as 4 operations and HADD and HMUL as 2
(``derived__smsp__sass_thread_inst_executed_op_hfma_pred_on_x4``, ``…_hadd_pred_on_x2``), an FFMA as 2 (``…_x2``).
"""
_OPERATIONS: Final = (("fma", 2), ("add", 1), ("mul", 1))
_CLOCK: Final = "smsp__cycles_elapsed.avg.per_second"


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What adds up; None where a metric for it was not collected.

    Attributes:
        tensor: FLOPs of tensor cores by element type.
        cores: FLOPs of other cores by element type.
        dram: Bytes read from and written to device memory.
        time: Nanoseconds under the counters.
    """

    tensor: Mapping[str, float] | None
    cores: Mapping[str, float] | None
    dram: float | None
    time: float | None


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Parts of peaks; None where the metric was not collected."""

    compute: float | None
    memory: float | None
    dram: float | None
    occupancy: float | None


def amounts_of(values: Values, time: float | None) -> Amounts:
    """Read what adds up out of the metrics of one launch.

    Args:
        values: Its metrics.
        time: Its duration, in nanoseconds.
    """
    return Amounts(tensor=_tensor(values), cores=_cores(values, time), dram=_dram(values, time), time=time)


def shares_of(values: Values) -> Shares:
    """Read parts of peaks out of the metrics of one launch."""
    return Shares(
        compute=_percent(values, COMPUTE),
        memory=_percent(values, MEMORY),
        dram=next((share for name in DRAM if (share := _percent(values, name)) is not None), None),
        occupancy=_percent(values, OCCUPANCY),
    )


def added(parts: Sequence[tuple[Amounts, int]]) -> Amounts:
    """Return the amounts of several kernels by how often each ran; what one of them lacks, all lack."""
    return Amounts(
        tensor=_added([(part.tensor, calls) for part, calls in parts]),
        cores=_added([(part.cores, calls) for part, calls in parts]),
        dram=_sum([None if part.dram is None else part.dram * calls for part, calls in parts]),
        time=_sum([None if part.time is None else part.time * calls for part, calls in parts]),
    )


def averaged(parts: Sequence[tuple[Shares, float]]) -> Shares:
    """Return the shares of several kernels, weighted by time; what one of them lacks, all lack."""

    def mean(name: str) -> float | None:
        found = [(weight, getattr(part, name)) for part, weight in parts]
        return None if any(share is None for _, share in found) else weighted_mean(found)

    return Shares(compute=mean("compute"), memory=mean("memory"), dram=mean("dram"), occupancy=mean("occupancy"))


def efficiency_of(amounts: Amounts, shares: Shares, device: DeviceSpec | None) -> Efficiency:
    """Return the figures in fixed terms.

    The element type is the one with most FLOPs. Peaks are those of the device's dense products, so halves worked on
    outside tensor cores, and doubles, have none.
    """
    by_type = _by_type(amounts)
    most = max(by_type, key=lambda one: (by_type[one], one), default=None)
    dtype, on_tensor = most if most is not None and by_type[most] else ("", False)
    peak = None
    if device is not None and (on_tensor or dtype == "float32"):
        peak = device.dense_peaks.get(dtype)
    total = _total(amounts)
    done = by_type[dtype, on_tensor] if dtype else total
    seconds = amounts.time / 1e9 if amounts.time else None
    return Efficiency(
        dtype=dtype,
        tensor_flops=None if amounts.tensor is None else math.fsum(amounts.tensor.values()),
        cuda_core_flops=None if amounts.cores is None else math.fsum(amounts.cores.values()),
        dram_bytes=amounts.dram,
        intensity=total / amounts.dram if total is not None and amounts.dram else None,
        ridge=peak / device.memory_bandwidth if peak and device is not None else None,
        flops_per_s=done / seconds if done is not None and seconds else None,
        peak_share=done / seconds / peak if peak and seconds and done is not None else None,
        compute_share=shares.compute,
        memory_share=shares.memory,
        dram_share=shares.dram,
        occupancy=shares.occupancy,
    )


def _by_type(amounts: Amounts) -> dict[tuple[str, bool], float]:
    """Return FLOPs by element type and whether tensor cores did them; without the tensor cores' nothing is known."""
    if amounts.tensor is None:
        return {}
    found = {(dtype, True): flops for dtype, flops in amounts.tensor.items()}
    return found | {(dtype, False): flops for dtype, flops in (amounts.cores or {}).items()}


def _total(amounts: Amounts) -> float | None:
    """Return all FLOPs; those of tensor cores alone where there are some and the others were not collected."""
    if amounts.tensor is None:
        return None
    tensor = math.fsum(amounts.tensor.values())
    if amounts.cores is None:
        return tensor or None
    return tensor + math.fsum(amounts.cores.values())


def _tensor(values: Values) -> dict[str, float] | None:
    by_type: dict[str, dict[tuple[bool, bool], list[float]]] = {}
    for name in values:
        found = _TENSOR.fullmatch(name)
        number = _number(values, name)
        if found is None or number is None:
            continue
        kind = found["to"] is not None, found["sparse"] is not None
        by_type.setdefault(found["type"], {}).setdefault(kind, []).append(number)
    flops: dict[str, float] = {}
    for source, kinds in by_type.items():
        if not source.startswith("int"):
            # Whole numbers first: those by target type or sparsity are parts of them.
            flops[_TYPES.get(source, source)] = math.fsum(kinds[min(kinds, key=lambda kind: (kind[1], kind[0]))])
    # Nothing found is nothing done only where the types that all these chips have were looked at.
    return flops if any(flops.values()) or by_type.keys() >= _COMMON else None


def _cores(values: Values, time: float | None) -> dict[str, float] | None:
    found: dict[str, float] = {}
    for letter, dtype, lanes in _CORES:
        counts = [_executed(values, f"{letter}{operation}", time) for operation, _ in _OPERATIONS]
        if None not in counts:
            terms = zip(counts, _OPERATIONS, strict=True)
            found[dtype] = math.fsum(lanes * each * (count or 0) for count, (_, each) in terms)
    return found if "float32" in found else None


def _executed(values: Values, operation: str, time: float | None) -> float | None:
    for unit in ("smsp", "sm"):
        name = f"{unit}__sass_thread_inst_executed_op_{operation}_pred_on.sum"
        count = _number(values, name)
        if count is not None:
            return count
    rate = _number(values, f"smsp__sass_thread_inst_executed_op_{operation}_pred_on.sum.per_cycle_elapsed")
    clock = _number(values, _CLOCK, "hz")
    return None if rate is None or clock is None or time is None else rate * clock * time / 1e9


def _dram(values: Values, time: float | None) -> float | None:
    for names in (("dram__bytes",), ("dram__bytes_read", "dram__bytes_write")):
        counts = [_number(values, f"{name}.sum", "byte") for name in names]
        if None in counts and time is not None:
            rates = [_number(values, f"{name}.sum.per_second", "byte/s") for name in names]
            counts = [None if rate is None else rate * time / 1e9 for rate in rates]
        whole = _sum(counts)
        if whole is not None:
            return whole
    return None


def _percent(values: Values, name: str) -> float | None:
    found = _number(values, name, "%")
    return None if found is None else max(0.0, found / 100)


def _number(values: Values, name: str, unit: str | None = None) -> float | None:
    found = values.get(name, Value(None, ""))
    if not isinstance(found.value, float) or (unit is not None and found.unit != unit):
        return None
    return found.value


def _sum(numbers: Iterable[float | None]) -> float | None:
    found = list(numbers)
    known = [number for number in found if number is not None]
    return math.fsum(known) if found and len(known) == len(found) else None


def _added(parts: Sequence[tuple[Mapping[str, float] | None, int]]) -> dict[str, float] | None:
    if not parts or any(part is None for part, _ in parts):
        return None
    names = dict.fromkeys(name for part, _ in parts for name in part or {})
    return {name: math.fsum((part or {}).get(name, 0.0) * calls for part, calls in parts) for name in names}
