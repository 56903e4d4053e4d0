"""Processes that a program has left behind, for which the profiler that wraps it waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 10.0
"""Seconds after the end of the program, before it is told that something keeps the profiler waiting."""

_PROC = Path("/proc")
_EVERY = 1.0
_SHOWN = 5
_log = logging.getLogger(__name__)


@contextmanager
def told_of_remains(tool: str, pid_file: Path, mark: str, patience: float = PATIENCE) -> Iterator[None]:
    """Say on stderr, once, which processes a program left when it ended, if they keep its profiler waiting.

    Args:
        tool: What waits for them.
        pid_file: Where the program's number is written before it starts; a program may be started several times.
        mark: ``NAME=VALUE`` in the environment of the program and of what it starts, and of no other process.
        patience: Seconds to wait for them before.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(ended, tool, pid_file, mark.encode(), patience), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()


def _watch(ended: threading.Event, tool: str, pid_file: Path, mark: bytes, patience: float) -> None:
    since: float | None = None
    while not ended.wait(_EVERY):
        if _runs(pid_file):
            since = None
            continue
        since = time.monotonic() if since is None else since
        if time.monotonic() - since < patience:
            continue
        left = [f"{process} ({_name(process)})" for process in _marked(mark)]
        if left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            _log.warning(
                "the program has ended; %s waits for processes it left: %s%s; Ctrl-C keeps what was recorded",
                tool,
                ", ".join(left[:_SHOWN]),
                more,
            )
            return


def _runs(pid_file: Path) -> bool:
    """Whether the program has not ended; before it has begun, it counts as running."""
    try:
        process = int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return True
    with suppress(OSError):
        # The name of the program, in brackets, may hold anything: what follows the last bracket is sure.
        return (_PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    return False


def _marked(mark: bytes) -> Iterator[int]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended, or belongs to someone else
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def _name(process: int) -> str:
    with suppress(OSError):  # it has ended meanwhile
        return (_PROC / str(process) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return "ended"
