"""Standard output is for what a command prints itself; whatever a plugin or library prints goes to standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from perfkit_core.texts import visible

__all__ = ["discard", "flush", "output", "reserved_output", "visible"]

_reserved: list[TextIO] = []


def output() -> TextIO:
    """Return the stream for the output of the command."""
    return _reserved[-1] if _reserved else sys.stdout


@contextmanager
def reserved_output(*, restore: bool = True) -> Iterator[None]:
    """Send all that is printed meanwhile to standard error, but for what is written to ``output()``.

    Args:
        restore: Whether to undo this for the file descriptor at the end. Not at the end of a process: what the C
            library has buffered is written when it exits.
    """
    stdout, stderr = sys.stdout, sys.stderr
    if stdout is None or stderr is None:  # closed by the caller
        yield
        return
    saved = _own_descriptor(stdout)
    _reserved.append(stdout if saved is None else saved)
    sys.stdout = stderr
    try:
        yield
    finally:
        stderr.flush()
        sys.stdout = stdout
        _reserved.pop()
        if saved is not None:
            if restore:
                os.dup2(saved.fileno(), 1)
            saved.close()


def discard(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that no later write or the exit of the interpreter fails."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _own_descriptor(stdout: TextIO) -> TextIO | None:
    """Move what is behind descriptor 1 to a stream of its own; None when ``stdout`` is not that descriptor."""
    try:
        if stdout.fileno() != 1:
            return None
        flush(stdout)
        saved = open(os.dup(1), "w", encoding=stdout.encoding, errors=stdout.errors)  # noqa: PTH123, SIM115
        os.dup2(2, 1)
    except (io.UnsupportedOperation, OSError):  # a stream in memory, as in a test, or no standard error
        return None
    return saved


def flush(stream: TextIO) -> None:
    """Flush a stream; a reader that has gone away is no error."""
    try:
        stream.flush()
    except BrokenPipeError:
        discard(stream)
