"""Regions of a program that perfkit does not run itself: NVTX ranges, where a profiler asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

DOMAIN = "perfkit"
MARK = "PERFKIT_NVTX"
"""Environment variable: 1 makes ``perfkit_core.region`` mark regions as NVTX ranges outside perfkit's worker too."""


@contextmanager
def marked(name: str) -> Iterator[None]:
    """Open an NVTX push/pop range in domain ``perfkit`` if ``PERFKIT_NVTX`` is 1 and nvtx is installed; else nothing.

    Args:
        name: The segment; a slash in it becomes ``%2F``.
    """
    nvtx = _nvtx()
    if nvtx is None:
        yield
        return
    nvtx.push_range(name.replace("/", "%2F"), domain=DOMAIN)
    try:
        yield
    finally:
        nvtx.pop_range(domain=DOMAIN)


@cache
def _nvtx() -> Any:
    """Return the package, or None where no range is wanted; asked once, so that a region costs next to nothing."""
    if os.environ.get(MARK) != "1":
        return None
    try:
        import nvtx
    except ImportError:
        return None
    return nvtx
