"""Hook implementations of the DeepSeek-OCR plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perfkit_core import hookimpl
from perfkit_core.costtree import CostTree
from perfkit_core.reference import Reference
from perfkit_core.specs import AnalyticSpec, ModelRequest, ModelSpec, VariantSpec, WorkloadSpec
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.workloads import MODEL, workloads


@hookimpl
def perfkit_models() -> list[ModelSpec]:
    """Return DeepSeek-OCR."""
    variants = (
        VariantSpec(name="default", summary="3.3 billion parameters, 64 experts"),
        VariantSpec(
            name="tiny", summary="the same structure, small enough for two CPU cores", default_workload="quick"
        ),
    )
    return [
        ModelSpec(
            name=MODEL,
            summary="DeepSeek-OCR: SAM and CLIP vision encoders, projector, mixture-of-experts decoder",
            variants=variants,
            default_workload="standard",
            options=OcrModelOptions,
            load=_load,
        )
    ]


@hookimpl
def perfkit_workloads() -> list[WorkloadSpec]:
    """Return the named workloads."""
    return workloads()


@hookimpl
def perfkit_analytic_models() -> list[AnalyticSpec]:
    """Return the closed-form costs of reading pages."""
    return [AnalyticSpec(model=MODEL, estimate=_estimate, references=_references)]


def _estimate(request: ModelRequest, workload: OcrWorkload) -> CostTree:
    from perfkit_deepseek_ocr.estimate import estimate

    return estimate(request, workload)


def _load(request: ModelRequest) -> Mapping[str, Any]:
    from perfkit_deepseek_ocr.modules import build_modules

    return build_modules(request)


def _references(request: ModelRequest, workload: OcrWorkload) -> Iterable[Reference]:
    from perfkit_deepseek_ocr.references import references

    return references(request, workload)
