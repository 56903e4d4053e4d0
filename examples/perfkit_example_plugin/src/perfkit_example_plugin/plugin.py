"""Hook implementations of the example plugin.

perfkit imports this module to learn what is installed, so it stays light: everything that costs time to import is
imported inside the functions that the specs carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core import hookimpl
from perfkit_core.costtree import CostTree
from perfkit_core.reference import Reference
from perfkit_core.specs import AnalyticSpec, ExporterSpec, ModelRequest, ModelSpec, VariantSpec, WorkloadSpec
from perfkit_example_plugin.options import MlpOptions, MlpWorkload, TsvOptions

if TYPE_CHECKING:
    from perfkit_core.rundir import Run
    from perfkit_core.workload import BuildContext, Workload

MODEL = "example_mlp"


@hookimpl
def perfkit_models() -> list[ModelSpec]:
    """Return the perceptron in two sizes."""
    return [
        ModelSpec(
            name=MODEL,
            summary="two-layer perceptron",
            variants=(
                VariantSpec(name="small", summary="256 features, 1024 hidden"),
                VariantSpec(name="wide", summary="4096 features, 16384 hidden", default_workload="batch"),
            ),
            default_workload="single",
            options=MlpOptions,
            load=_load,
        )
    ]


@hookimpl
def perfkit_workloads() -> list[WorkloadSpec]:
    """Return one row and many rows."""
    return [
        WorkloadSpec(name="single", model=MODEL, summary="one row", options=MlpWorkload, build=_build),
        WorkloadSpec(
            name="batch",
            model=MODEL,
            summary="4096 rows",
            options=MlpWorkload,
            values={"batch_size": 4096},
            build=_build,
        ),
    ]


@hookimpl
def perfkit_analytic_models() -> list[AnalyticSpec]:
    """Return the closed-form costs, and the real module that proves them."""
    return [AnalyticSpec(model=MODEL, estimate=_estimate, references=_references)]


@hookimpl
def perfkit_exporters() -> list[ExporterSpec]:
    """Return the tab-separated exporter, which works for runs of every model."""
    return [
        ExporterSpec(
            name="example_tsv",
            summary="a tab-separated row per module",
            suffix=".tsv",
            options=TsvOptions,
            export=_export,
        )
    ]


def _load(request: ModelRequest) -> Mapping[str, Any]:
    from perfkit_example_plugin.modules import build_modules

    return build_modules(request)


def _build(context: BuildContext) -> Workload:
    from perfkit_example_plugin.workload import MlpRun

    return MlpRun(context)


def _estimate(request: ModelRequest, workload: MlpWorkload) -> CostTree:
    from perfkit_example_plugin.estimate import estimate

    return estimate(request, workload)


def _references(request: ModelRequest, workload: MlpWorkload) -> Iterable[Reference]:
    from perfkit_example_plugin.modules import references

    return references(request, workload)


def _export(run: Run, path: Path, options: TsvOptions) -> Sequence[Path]:
    from perfkit_example_plugin.export import export_tsv

    return export_tsv(run, path, options)
