"""Model FLOPs utilisation: the analytic FLOPs of exactly this workload against measured time and dense peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from perfkit_core.costtree import CostTree
from perfkit_core.schema.metrics import Peak, Utilisation
from perfkit_core.schema.run import DeviceRecord
from perfkit_core.specs import DeviceSpec

HOW_TO_ADD = "a plugin adds one with the hook perfkit_devices; perfkit list devices shows those that are known"


def match_device(name: str, devices: Sequence[DeviceSpec]) -> DeviceSpec | None:
    """Return the entry whose pattern matches the whole name that the driver reports, or None."""
    return next((device for device in devices if device.matches(name)), None)


def flops_by_type(tree: CostTree, device: DeviceRecord) -> dict[str, Counter[str]]:
    """Return the FLOPs of the whole run per region path, inclusive, by the element type whose peak applies.

    float32 work counts as ``tfloat32`` where torch lets that kind of operation use it.
    """
    found: dict[str, Counter[str]] = {"": Counter()}
    for path, node in tree.rows():
        own: Counter[str] = Counter()
        for op in node.ops:
            if op.flops:
                own[_peak_type(op.kind, op.dtype, device)] += op.flops * op.calls
        place = path
        found.setdefault(path, Counter())
        while own:
            found.setdefault(place, Counter()).update(own)
            if not place:
                break
            place = place.rpartition("/")[0]
    return found


def bytes_moved(tree: CostTree) -> dict[str, int]:
    """Return the least bytes that the whole run moves per region path; the whole run stands under the empty path."""
    found = {path: node.inclusive.bytes_read + node.inclusive.bytes_written for path, node in tree.rows()}
    total = tree.total()
    return {"": total.bytes_read + total.bytes_written, **found}


def utilisation(
    path: str, seconds: float, flops: Mapping[str, int], nbytes: int, device: DeviceSpec, nested_in: str
) -> Utilisation | None:
    """Return the utilisation of one region; None without FLOPs, without time or with a type that has no peak."""
    if not flops or seconds <= 0 or any(dtype not in device.dense_peaks for dtype in flops):
        return None
    ideal = sum(amount / device.dense_peaks[dtype] for dtype, amount in flops.items())
    moving = nbytes / device.memory_bandwidth
    return Utilisation(
        path=path,
        flops=sum(flops.values()),
        seconds=seconds,
        mfu=ideal / seconds,
        bytes=nbytes,
        bandwidth_share=moving / seconds,
        floor_seconds=max(ideal, moving),
        peaks=tuple(
            Peak(dtype=dtype, flops=amount, peak_flops_per_s=device.dense_peaks[dtype])
            for dtype, amount in sorted(flops.items())
        ),
        nested_in=nested_in,
    )


def _peak_type(kind: str, dtype: str, device: DeviceRecord) -> str:
    if dtype != "float32":
        return dtype
    allowed = device.tf32_conv if kind == "conv" else device.tf32_matmul
    return "tfloat32" if allowed and device.gpu is not None else dtype
