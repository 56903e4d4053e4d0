"""NVTX ranges for every region, for profilers that wrap the worker; runs in the worker."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.files import write_atomically
from perfkit_core.regions import Iteration, Recorder

DOMAIN = "perfkit"
"""NVTX domain of all ranges."""

EMITTED = "nvtx.json"
"""File in the pass's directory: ``{"ranges": {path: how many were closed}}``, to compare with what a tool recorded."""


class NvtxRecorder(Recorder):
    """Opens a push/pop range per region of the measured runs, named by its last path segment, in domain ``perfkit``.

    Args:
        directory: Where to write how many ranges were emitted, after every run.

    Raises:
        MissingError: The package nvtx is not installed.
    """

    def __init__(self, directory: Path) -> None:
        try:
            import nvtx
        except ImportError:
            raise MissingError(
                "regions cannot be marked: nvtx is not installed", fix="pip install 'perfkit-core[nvtx]'"
            ) from None
        self._nvtx: Any = nvtx
        self._path = directory / EMITTED
        self._emitted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._on = False

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Mark the measured runs alone."""
        self._on = not warmup

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Open a range."""
        if not self._on:
            return
        self._nvtx.push_range(path.rpartition("/")[2], domain=DOMAIN)

    def pop(self, path: str) -> None:
        """Close it."""
        if not self._on:
            return
        self._nvtx.pop_range(domain=DOMAIN)
        with self._lock:
            self._emitted[path] += 1

    def end(self, *, finished: bool) -> None:
        """Write what was emitted so far."""
        write_atomically(self._path, json.dumps({"ranges": dict(self._emitted)}, indent=1) + "\n")
