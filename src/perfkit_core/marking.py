"""Regions of a program that perfkit does not run itself: NVTX ranges, where a profiler asks for them."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

DOMAIN = "perfkit"
MARK = "PERFKIT_NVTX"
"""Environment variable: makes ``perfkit_core.region`` mark regions as NVTX ranges outside perfkit's worker too. A
directory in it gets ``nvtx-PID.json`` when the process ends: how many ranges were closed, by path; 1 counts nothing."""


@contextmanager
def marked(name: str) -> Iterator[None]:
    """Open an NVTX push/pop range in domain ``perfkit`` if ``PERFKIT_NVTX`` is set and nvtx is installed; else nothing.

    Args:
        name: The segment; a slash in it becomes ``%2F``.
    """
    marks = _marks()
    if marks is None:
        yield
        return
    marks.push(name.replace("/", "%2F"))
    try:
        yield
    finally:
        marks.pop()


class _Marks:
    """The ranges of this process."""

    def __init__(self, nvtx: Any, directory: Path | None) -> None:
        self._nvtx = nvtx
        self._directory = directory
        self._open = threading.local()
        self._lock = threading.Lock()
        self._closed: Counter[str] = Counter()

    def push(self, segment: str) -> None:
        paths = self._paths()
        paths.append(f"{paths[-1]}/{segment}" if paths else segment)
        self._nvtx.push_range(segment, domain=DOMAIN)

    def pop(self) -> None:
        self._nvtx.pop_range(domain=DOMAIN)
        path = self._paths().pop()
        with self._lock:
            self._closed[path] += 1

    def write(self) -> None:
        """Leave the counts where they were asked for; a program must not fail for it."""
        if self._directory is not None and self._closed:
            with suppress(OSError):
                path = self._directory / f"nvtx-{os.getpid()}.json"
                path.write_text(json.dumps({"ranges": dict(self._closed)}) + "\n", encoding="utf-8")

    def _paths(self) -> list[str]:
        paths: list[str] | None = getattr(self._open, "paths", None)
        if paths is None:
            paths = self._open.paths = []
        return paths


@cache
def _marks() -> _Marks | None:
    """Return what marks ranges, or None where none is wanted; asked once, so that a region costs next to nothing."""
    wanted = os.environ.get(MARK, "")
    if wanted in {"", "0"}:
        return None
    try:
        import nvtx
    except ImportError:
        return None
    import atexit

    marks = _Marks(nvtx, Path(wanted) if Path(wanted).is_dir() else None)
    atexit.register(marks.write)
    return marks
