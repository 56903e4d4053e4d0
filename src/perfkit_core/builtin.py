"""The built-in plugin: what perfkit-core itself registers."""

from __future__ import annotations

from perfkit_core.backend import ProfilerBackend
from perfkit_core.hookspecs import hookimpl
from perfkit_core.specs import BackendSpec, DeviceSpec, ExporterSpec


@hookimpl
def perfkit_backends() -> list[BackendSpec]:
    """Return the backends that need no other distribution."""
    from perfkit_core.backends.torch_options import TorchOptions
    from perfkit_core.backends.wall_clock_options import WallClockOptions

    return [
        BackendSpec(
            name="analytic",
            summary="FLOPs, bytes, parameters and memory of every module from formulas; needs no GPU and no torch",
            factory=_analytic,
        ),
        BackendSpec(
            name="wall_clock",
            summary="time and memory of every stage and step, without any profiler",
            factory=_wall_clock,
            options=WallClockOptions,
        ),
        BackendSpec(
            name="torch",
            summary="operators and kernels of every region, by torch.profiler",
            factory=_torch,
            options=TorchOptions,
        ),
    ]


@hookimpl
def perfkit_devices() -> list[DeviceSpec]:
    """Return the GPUs whose peaks are known."""
    from perfkit_core.devices import builtin_devices

    return builtin_devices()


@hookimpl
def perfkit_exporters() -> list[ExporterSpec]:
    """Return the exporters that need no other distribution."""
    from perfkit_core.exporters.csv import CsvOptions, export_csv

    return [
        ExporterSpec(
            name="csv",
            summary="one row per module with every value, for spreadsheets and data frames",
            suffix=".csv",
            export=export_csv,
            options=CsvOptions,
        )
    ]


def _analytic() -> ProfilerBackend:
    from perfkit_core.backends.analytic import AnalyticBackend

    return AnalyticBackend()


def _wall_clock() -> ProfilerBackend:
    from perfkit_core.backends.wall_clock import WallClockBackend

    return WallClockBackend()


def _torch() -> ProfilerBackend:
    from perfkit_core.backends.torch_profiler import TorchBackend

    return TorchBackend()
