"""Named DeepSeek-OCR workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit_core.specs import WorkloadSpec
from perfkit_deepseek_ocr.options import OcrWorkload

if TYPE_CHECKING:
    from perfkit_core.workload import BuildContext, Workload

MODEL = "deepseek_ocr"

_TABLE: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("standard", "mode gundam with 2x2 tiles, 512 new tokens", {}),
    ("quick", "mode base, 64 new tokens", {"mode": "base", "max_new_tokens": 64}),
)


def workloads() -> list[WorkloadSpec]:
    """Return the named workloads of the DeepSeek-OCR model."""
    return [
        WorkloadSpec(name=name, model=MODEL, summary=summary, options=OcrWorkload, values=values, build=_build)
        for name, summary, values in _TABLE
    ]


def _build(context: BuildContext) -> Workload:
    from perfkit_deepseek_ocr.reading import PageReading

    return PageReading(context)
