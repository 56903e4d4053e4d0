"""perfkit: what a model should cost, what it does cost, where the gap is and what to do first.

Only ``hookimpl``, ``region`` and ``__version__`` are exported here; everything else lives in named modules.
Nothing heavy is imported until one of the names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit_core.hookspecs import hookimpl
    from perfkit_core.regions import region

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl", "region"]


def __getattr__(name: str) -> object:
    if name == "hookimpl":
        from perfkit_core.hookspecs import hookimpl

        return hookimpl
    if name == "region":
        from perfkit_core.regions import region

        return region
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
