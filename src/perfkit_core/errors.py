"""Typed errors of perfkit; each carries the process exit code that the command line returns.

An error message says what failed and where; ``fix`` names the next thing to do. Exit codes are part
of the public contract (docs/errors.md).
"""

from __future__ import annotations

from collections.abc import Iterable


class PerfkitError(Exception):
    """Base of every error perfkit raises on purpose.

    Args:
        message: One line: what failed, and where.
        fix: One line: what the user can do next; empty when there is nothing to add.
    """

    exit_code = 6

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} ({self.fix})" if self.fix else self.message


class CheckFailed(PerfkitError):  # noqa: N818 - a finding, not a fault
    """A check that the user asked for did not hold (``verify``, ``--fail-above``)."""

    exit_code = 1


class UsageError(PerfkitError):
    """A wrong name, value or combination of options."""

    exit_code = 2


class MissingError(PerfkitError):
    """A plugin, tool, device, file, checkpoint or measurement is missing or does not fit."""

    exit_code = 3


class ToolError(PerfkitError):
    """A profiler or worker failed, out of memory included, or several parts of a run did, for different reasons."""

    exit_code = 4


class DamagedFileError(PerfkitError):
    """A file is damaged or follows a schema that this version does not know."""

    exit_code = 5


INTERRUPTED = 130
"""Exit code after Ctrl-C."""

PLUGIN_FAULTS: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""What to catch around a plugin's code: ``sys.exit`` in it must not end perfkit. Ctrl-C is not among them."""


def public_class(error: PerfkitError) -> type[PerfkitError]:
    """Return the class of this module that the error is or derives from: the one that every process knows."""
    return next(kind for kind in type(error).__mro__ if kind.__module__ == __name__)


def class_of(exit_code: int) -> type[PerfkitError]:
    """Return the class of errors with this exit code; ``PerfkitError`` itself when there is none."""
    kinds = (CheckFailed, UsageError, MissingError, ToolError, DamagedFileError)
    return next((kind for kind in kinds if kind.exit_code == exit_code), PerfkitError)


def message_of(error: BaseException) -> str:
    """Return the error's text on one line; an error that cannot be turned into text has a stand-in."""
    try:
        return " ".join(str(error).split())
    except PLUGIN_FAULTS:
        return "(its message cannot be shown)"


def one_line(error: BaseException) -> str:
    """Return type and text of the error on one line."""
    text = message_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` with the closest known names, or the list of all of them."""
    options = sorted(known)
    close = close_names(name, options)
    if close:
        return "did you mean " + " or ".join(repr(option) for option in close) + "?"
    return "known: " + ", ".join(options) if options else "none is installed"


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that ``name`` may be a misspelling of, the nearest first."""
    import difflib

    return difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
