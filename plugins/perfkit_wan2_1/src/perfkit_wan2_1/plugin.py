"""Hook implementations of the Wan2.1 plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perfkit_core import hookimpl
from perfkit_core.costtree import CostTree
from perfkit_core.reference import Reference
from perfkit_core.specs import AnalyticSpec, ModelRequest, ModelSpec, VariantSpec, WorkloadSpec
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.workloads import MODEL, workloads


@hookimpl
def perfkit_models() -> list[ModelSpec]:
    """Return Wan2.1 text-to-video."""
    variants = (
        VariantSpec(name="t2v_14b", summary="text-to-video, 14 billion parameters"),
        VariantSpec(name="t2v_1_3b", summary="text-to-video, 1.3 billion parameters"),
        VariantSpec(
            name="tiny", summary="the same structure, small enough for two CPU cores", default_workload="ci_tiny"
        ),
    )
    return [
        ModelSpec(
            name=MODEL,
            summary="Wan2.1 text-to-video: UMT5 text encoder, diffusion transformer, Wan-VAE decoder",
            variants=variants,
            default_workload="native_720p",
            options=WanModelOptions,
            load=_load,
        )
    ]


@hookimpl
def perfkit_workloads() -> list[WorkloadSpec]:
    """Return the named workloads."""
    return workloads()


@hookimpl
def perfkit_analytic_models() -> list[AnalyticSpec]:
    """Return the closed-form costs of the whole pipeline."""
    return [AnalyticSpec(model=MODEL, estimate=_estimate, references=_references)]


def _estimate(request: ModelRequest, workload: WanWorkload) -> CostTree:
    from perfkit_wan2_1.estimate import estimate

    return estimate(request, workload)


def _load(request: ModelRequest) -> Mapping[str, Any]:
    from perfkit_wan2_1.modules import build_modules

    return build_modules(request)


def _references(request: ModelRequest, workload: WanWorkload) -> Iterable[Reference]:
    from perfkit_wan2_1.references import references

    return references(request, workload)
