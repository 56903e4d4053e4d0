"""The processes of one session of nsys, and ending them: its agent and whatever the measured program left behind.

nsys starts its agent as a session leader, so no process group reaches it, and the agent waits for every process that
it records. A descendant that left the group too, and ignores signals, keeps both alive for as long as it likes.
What threw its environment away as well, and lost its parents, cannot be told from other programs: it is left alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "PERFKIT_NSYS_SESSION"
"""Environment variable that names the session; what nsys starts inherits it, its agent included."""

_PROC = Path("/proc")
_SECONDS = 10.0
"""How long to look for processes that start while others are ended."""

_log = logging.getLogger("perfkit.nsight")


def end_session(session: str) -> None:
    """Kill every process of a session; none of another session, and never this process or one that it runs in.

    Args:
        session: Its name, as ``--session-new`` had it.
    """
    deadline = time.monotonic() + _SECONDS
    while alive := list(_processes(session)):
        if time.monotonic() > deadline:
            _log.warning("processes of nsys's session %s could not be ended: %s", session, alive)
            return
        for process in alive:
            _kill(process, session)
        time.sleep(0.05)


def _processes(session: str) -> Iterator[int]:
    """Yield the numbers of a session's processes: those that carry its name, and their descendants."""
    parents = dict(_parents())
    spared = set(_upwards(os.getpid(), parents))
    own = {process for process in parents if process not in spared and _is_of(process, session)}
    for process in parents:
        if process not in spared and own.intersection(_upwards(process, parents)):
            yield process


def _parents() -> Iterator[tuple[int, int]]:
    """Yield every process that has not ended, with its parent."""
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                # The name of the program, in brackets, may hold anything: what follows the last bracket is sure.
                state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    yield int(folder.name), int(parent)


def _upwards(process: int, parents: dict[int, int]) -> Iterator[int]:
    seen: set[int] = set()
    while process in parents and process not in seen:
        seen.add(process)
        yield process
        process = parents[process]


def _is_of(process: int, session: str) -> bool:
    words = _entries(process, "cmdline")
    named = {f"--session-new={session}".encode(), f"--session-name={session}".encode()}
    return bool(named.intersection(words)) or f"{MARK}={session}".encode() in _entries(process, "environ")


def _entries(process: int, name: str) -> list[bytes]:
    try:
        return (_PROC / str(process) / name).read_bytes().split(b"\0")
    except OSError:  # it has ended, or belongs to someone else
        return []


def _kill(process: int, session: str) -> None:
    """Kill a process that was found; a number that was given to another process meanwhile is left alone."""
    try:
        handle = os.pidfd_open(process)
    except OSError:  # it has ended meanwhile
        return
    try:
        if process in set(_processes(session)):  # the handle holds the process that is looked at now
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError as error:
        _log.debug("process %d: %s", process, error)
    finally:
        os.close(handle)
