"""What ncu is told to collect: presets of sections and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfkit_nsight.ncu_options import NcuOptions, listed
from perfkit_nsight.results import DURATION

_THROUGHPUT = (
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
)
_TRAFFIC = ("dram__bytes_read.sum", "dram__bytes_write.sum", "lts__t_bytes.sum")
_TENSOR = tuple(
    f"sm__ops_path_tensor_src_{kind}.sum" for kind in ("bf16_dst_fp32", "fp16", "tf32_dst_fp32", "fp8", "int8", "fp64")
)
_CUDA_CORES = tuple(
    f"smsp__sass_thread_inst_executed_op_{kind}_pred_on.sum"
    for kind in ("ffma", "fadd", "fmul", "hfma", "hadd", "hmul", "dfma", "dadd", "dmul")
)
_PREFIXES = ("regex:", "group:", "breakdown:")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What to collect of every kernel.

    Attributes:
        sections: Sections; ncu's own rules look at them.
        metrics: Metrics besides those of the sections.
        everything: Whether ncu's set ``full`` is collected.
        named: Metrics that the user named, which must not be missing.
    """

    sections: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    everything: bool = False
    named: tuple[str, ...] = ()

    def arguments(self) -> Iterator[str]:
        """Yield the options for ncu."""
        if self.everything:
            yield from ("--set", "full")
        for section in self.sections:
            yield from ("--section", section)
        yield from ("--metrics", ",".join(dict.fromkeys((DURATION, *self.metrics))))

    def without(self, names: frozenset[str]) -> Collection:
        """Return the same without some metrics."""
        return Collection(
            sections=self.sections,
            metrics=tuple(name for name in self.metrics if name not in names),
            everything=self.everything,
            named=self.named,
        )


PRESETS = {
    "roofline": Collection(
        sections=("SpeedOfLight", "Occupancy", "LaunchStats"),
        metrics=(*_THROUGHPUT, *_TRAFFIC, *_TENSOR, *_CUDA_CORES),
    ),
    "memory": Collection(
        sections=("SpeedOfLight", "MemoryWorkloadAnalysis", "LaunchStats"), metrics=(*_THROUGHPUT, *_TRAFFIC)
    ),
    "occupancy": Collection(
        sections=("SpeedOfLight", "Occupancy", "LaunchStats", "WarpStateStats", "SchedulerStats"), metrics=_THROUGHPUT
    ),
    "full": Collection(metrics=(*_THROUGHPUT, *_TRAFFIC, *_TENSOR, *_CUDA_CORES), everything=True),
}


def collection(options: NcuOptions, *, ranges: bool = False) -> Collection:
    """Return what to collect: what the user named, else the preset.

    Args:
        ranges: Of whole ranges. Sections and counts of executed instructions are of single kernels, and left out.
    """
    sections, metrics = listed(options.sections), listed(options.metrics)
    if sections or metrics:
        plain = tuple(name for name in metrics if not name.startswith(_PREFIXES))
        return Collection(sections=() if ranges else sections, metrics=metrics, named=plain)
    preset = PRESETS[options.preset]
    if not ranges:
        return preset
    return Collection(metrics=tuple(name for name in preset.metrics if "_sass_" not in name))
