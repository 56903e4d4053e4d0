"""Hook implementations of the Nsight plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from perfkit_core.backend import ProfilerBackend
from perfkit_core.costtree import CostTree
from perfkit_core.hookspecs import hookimpl
from perfkit_core.importer import ImportContext, Imported
from perfkit_core.specs import (
    AnalyticSpec,
    BackendSpec,
    ImporterSpec,
    ModelRequest,
    ModelSpec,
    VariantSpec,
    WorkloadSpec,
)

if TYPE_CHECKING:
    from perfkit_core.workload import BuildContext, Workload

DEMO = "three_ranges"


@hookimpl
def perfkit_models() -> list[ModelSpec]:
    """Return the demo, which shows what profilers make of nested ranges."""
    from perfkit_nsight.three_ranges.estimate import ThreeRangesOptions

    return [
        ModelSpec(
            name=DEMO,
            summary="demo: nested and neighbouring ranges A, A/A1 and B with known work",
            variants=(VariantSpec(name="demo", summary="three matrix products"),),
            default_workload="tiny",
            options=ThreeRangesOptions,
            load=_load_demo,
        )
    ]


@hookimpl
def perfkit_workloads() -> list[WorkloadSpec]:
    """Return the demo's only workload."""
    from perfkit_nsight.three_ranges.estimate import ThreeRangesWorkload

    return [
        WorkloadSpec(
            name="tiny",
            model=DEMO,
            summary="square matrix products of 2048, seconds on any device",
            options=ThreeRangesWorkload,
            build=_build_demo,
        )
    ]


@hookimpl
def perfkit_analytic_models() -> list[AnalyticSpec]:
    """Return the demo's costs."""
    return [AnalyticSpec(model=DEMO, estimate=_estimate_demo)]


def _load_demo(request: ModelRequest) -> Mapping[str, Any]:
    from perfkit_nsight.three_ranges.run import load

    return load(request)


def _build_demo(context: BuildContext) -> Workload:
    from perfkit_nsight.three_ranges.run import ThreeRangesRun

    return ThreeRangesRun(context)


def _estimate_demo(request: ModelRequest, workload: Any) -> CostTree:
    from perfkit_nsight.three_ranges.estimate import estimate

    return estimate(request, workload)


@hookimpl
def perfkit_backends() -> list[BackendSpec]:
    """Return the backends that run Nsight tools."""
    from perfkit_nsight.ncu_options import NcuOptions
    from perfkit_nsight.nsys_options import NsysOptions

    return [
        BackendSpec(
            name="ncu",
            summary="hardware counters by Nsight Compute of the kernels that take most of the time",
            factory=_ncu,
            options=NcuOptions,
        ),
        BackendSpec(
            name="nsys",
            summary="timeline by Nsight Systems: kernels, launches and GPU idle time of every region",
            factory=_nsys,
            options=NsysOptions,
        ),
    ]


def _ncu() -> ProfilerBackend:
    from perfkit_nsight.ncu_backend import NcuBackend

    return NcuBackend()


def _nsys() -> ProfilerBackend:
    from perfkit_nsight.nsys_backend import NsysBackend

    return NsysBackend()


@hookimpl
def perfkit_importers() -> list[ImporterSpec]:
    """Return the importers of what Nsight tools write; one has a backend's name where it reads what that records."""
    from perfkit_nsight.nsys_import import NsysImportOptions
    from perfkit_nsight.verdict_options import VerdictOptions

    return [
        ImporterSpec(
            name="nsys",
            summary="Nsight Systems: SQLite exports, and reports where nsys is installed",
            suffixes=(".sqlite", ".nsys-rep"),
            sniff=_late("nsys_import", "sniff"),
            load=_loader("nsys_import"),
            scrub=_late("nsys_scrub", "scrub"),
            options=NsysImportOptions,
        ),
        ImporterSpec(
            name="nsys_stats",
            summary="CSV output of nsys stats",
            suffixes=(".csv", ".txt"),
            sniff=_late("nsys_stats", "sniff"),
            load=_loader("nsys_stats"),
            scrub=_late("csv_scrub", "scrub_stats"),
        ),
        ImporterSpec(
            name="ncu",
            summary="Nsight Compute: reports",
            suffixes=(".ncu-rep", ".ncu-repz"),
            sniff=_late("ncu_rep", "sniff"),
            load=_loader("ncu_rep"),
            scrub=_late("ncu_scrub", "scrub"),
            options=VerdictOptions,
        ),
        ImporterSpec(
            name="ncu_csv",
            summary="CSV output of ncu, raw or details page",
            suffixes=(".csv", ".txt"),
            sniff=_late("ncu_csv", "sniff"),
            load=_loader("ncu_csv"),
            scrub=_late("csv_scrub", "scrub_ncu"),
            options=VerdictOptions,
        ),
    ]


def _late(module: str, name: str) -> Callable[[Path, Any], Any]:
    """Return a function of this package that is imported when it is called."""

    def call(path: Path, more: Any) -> Any:
        return getattr(import_module(f"perfkit_nsight.{module}"), name)(path, more)

    return call


def _loader(module: str) -> Callable[[ImportContext], Imported]:
    return lambda context: cast("Imported", import_module(f"perfkit_nsight.{module}").load(context))
