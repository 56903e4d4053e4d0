"""Regions of a program that perfkit does not run itself: NVTX ranges, where a profiler asks for them."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

DOMAIN = "perfkit"
MARK = "PERFKIT_NVTX"
"""Environment variable: makes ``perfkit_core.region`` mark regions as NVTX ranges outside perfkit's worker too. Where
it names a directory, every process leaves there what it marked; 1 leaves nothing."""

LOGS = "nvtx-*.jsonl"
"""What processes leave there, one ``nvtx-PID.jsonl`` each. Lines have one key: ``ranges``, how many were closed by path
since the last line, one for every outermost region that closed; ``forked``, the same where the process was forked and
runs no program of its own; ``errors``, why nothing could be marked, by interpreter; ``begun`` and ``ended``, which a
process that is killed lacks."""

_FORKED = 0x40
"""The kernel's PF_FORKNOEXEC: set by fork, cleared by exec."""


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


class _Log:
    """What this process says of its ranges; opened for every line, for a program may close all its files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, key: str, values: dict[str, Any] | None = None) -> None:
        """Append a line; a program must not fail for it."""
        with suppress(OSError):
            path = self._directory / f"nvtx-{os.getpid()}.jsonl"
            with path.open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(json.dumps({key: values or {}}) + "\n")


class _Marks:
    """The ranges of this process."""

    def __init__(self, nvtx: Any, log: _Log | None) -> None:
        self._nvtx = nvtx
        self._log = log
        self._forked = _was_forked()
        self._begin()
        if log is not None and not self._forked:
            log.add("begun", {"parent": os.getppid()})

    def _begin(self) -> None:
        self._open = threading.local()
        self._lock = threading.Lock()
        self._closed: Counter[str] = Counter()

    def forked(self) -> None:
        """Begin anew in the child of a fork: what was counted and is open belongs to its parent."""
        self._forked = True
        self._begin()

    def push(self, segment: str) -> None:
        paths = self._paths()
        paths.append(f"{paths[-1]}/{segment}" if paths else segment)
        self._nvtx.push_range(segment, domain=DOMAIN)

    def pop(self) -> None:
        self._nvtx.pop_range(domain=DOMAIN)
        paths = self._paths()
        if not paths:  # opened by the parent of a fork
            return
        path = paths.pop()
        with self._lock:
            self._closed[path] += 1
        if not paths:  # now, for a process may end without a chance to say anything
            self.tell()

    def tell(self) -> None:
        """Say what was closed since the last time."""
        with self._lock:
            closed, self._closed = self._closed, Counter()
        if self._log is not None and closed:
            self._log.add("forked" if self._forked else "ranges", dict(closed))

    def end(self) -> None:
        """Say that this process ends by itself: one that is killed may take its last ranges with it."""
        self.tell()
        if self._log is not None and not self._forked:
            self._log.add("ended")

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
    log = _Log(Path(wanted)) if Path(wanted).is_dir() else None
    try:
        import nvtx
    except ImportError as error:
        if log is not None:
            log.add("errors", {sys.executable: str(error)})
        return None
    import atexit

    marks = _Marks(nvtx, log)
    atexit.register(marks.end)
    os.register_at_fork(after_in_child=marks.forked)
    return marks


def _was_forked() -> bool:
    """Return whether this process was forked and has no program of its own; False where the system does not say."""
    try:
        text = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(int(text.rpartition(")")[2].split()[6]) & _FORKED)
