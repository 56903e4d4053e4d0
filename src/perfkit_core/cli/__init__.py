"""The command line. ``perfkit --help`` imports click and nothing else that is heavy."""

from __future__ import annotations

import gc

from perfkit_core.cli.group import perfkit

__all__ = ["main", "perfkit"]


def main() -> None:
    """Run the ``perfkit`` command and exit with its code."""
    # Importing and building records makes many objects and hardly any garbage: with the default threshold
    # of 700 the collector takes 5 % of a short command.
    gc.set_threshold(50_000)
    perfkit(ends_process=True)
