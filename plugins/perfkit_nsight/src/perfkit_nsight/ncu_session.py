"""What a ``.ncu-rep`` says of the session that made it, and NVIDIA's package does not give: version and replay mode."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from perfkit_core.errors import DamagedFileError
from perfkit_core.schema.counters import Replay
from perfkit_nsight.ncu_blocks import Bytes, blocks_of, fields_of

TOOL: Final = re.compile(rb"(?:[^ ]*(?=/))?(?P<kept>/?ncu(?: |$))")
"""ncu's own name at the beginning of a command line."""

REPLAY: Final = re.compile(rb"(?P<kept> --replay-mode[= ](?P<mode>[a-z-]+)(?: |$))")
"""Its option for replaying; of a program's command line, which comes after, it would be the second."""

_SESSION, _TOOLS, _COMMAND = 3, 8, 11
_NAME, _VERSION = 1, 2
_NCU: Final = b"Nsight Compute Target"
_NUMBER: Final = re.compile(rb"\d+(?:\.\d+)+")


class Session(NamedTuple):
    """What is known of a session.

    Attributes:
        version: Version of the ncu that measured, such as ``2025.3.1.0``; empty when unknown.
        replay: How it repeated what it measured; empty when unknown.
    """

    version: str
    replay: Replay


def session_of(path: Path, *, whole: bool) -> Session:
    """Return what a report says of its session; what it does not say, or says in a way that is not known, is empty.

    A command line without an option for it means replay of kernels, which is what ncu does then.

    Args:
        path: The report.
        whole: Whether its results are ranges or graphs, measured as a whole; a mode that cannot give them is not
            believed.
    """
    version, command = b"", b""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for number, text in _texts(data, path):
                if number == _COMMAND:
                    command = text
                else:
                    version = text
    except (OSError, ValueError, DamagedFileError):  # whether it can be used at all is the package's to say
        pass
    found = _NUMBER.match(version)
    return Session(version=found[0].decode() if found else "", replay=_replay(command, whole=whole))


def _texts(data: Bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the version of ncu and the command line, each with the number of its field."""
    for begin, end in blocks_of(data, path):
        try:
            messages = [(first, last) for number, first, last in fields_of(data, begin, end) if number == _SESSION]
            found = [one for first, last in messages for one in fields_of(data, first, last)]
            for number, first, last in found:
                if number == _COMMAND:
                    yield number, bytes(data[first:last])
                elif number == _TOOLS:
                    tool = {part: bytes(data[at:until]) for part, at, until in fields_of(data, first, last)}
                    if tool.get(_NAME) == _NCU and _VERSION in tool:
                        yield number, tool[_VERSION]
        except ValueError:
            continue  # a block of another kind


def _replay(command: bytes, *, whole: bool) -> Replay:
    if not TOOL.match(command):
        return ""
    found = REPLAY.search(command)
    if found is None:
        return "" if whole else "kernel"
    known: tuple[Replay, ...] = ("kernel", "application")
    known += ("range", "app-range") if whole else ()
    return next((mode for mode in known if mode == found["mode"].decode()), "")
