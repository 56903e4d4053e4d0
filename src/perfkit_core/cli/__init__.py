"""The command line. ``perfkit --help`` imports click and nothing else that is heavy."""

from __future__ import annotations

from perfkit_core.cli.group import perfkit

__all__ = ["main", "perfkit"]


def main() -> None:
    """Run the ``perfkit`` command and exit with its code."""
    perfkit()
