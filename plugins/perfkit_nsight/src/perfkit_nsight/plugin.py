"""Hook implementations of the Nsight plugin."""

from __future__ import annotations

from perfkit_core.backend import ProfilerBackend
from perfkit_core.hookspecs import hookimpl
from perfkit_core.specs import BackendSpec


@hookimpl
def perfkit_backends() -> list[BackendSpec]:
    """Return the backends that run Nsight tools."""
    from perfkit_nsight.nsys_options import NsysOptions

    return [
        BackendSpec(
            name="nsys",
            summary="timeline by Nsight Systems: kernels, launches and GPU idle time of every region",
            factory=_nsys,
            options=NsysOptions,
        )
    ]


def _nsys() -> ProfilerBackend:
    from perfkit_nsight.nsys_backend import NsysBackend

    return NsysBackend()
