"""Timing shared by the benchmarks: medians of interleaved repetitions, so that drift hits both sides."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each side; one call of every side per repetition."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def command(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Return a callable that runs a command to its end, output discarded."""

    def run() -> None:
        subprocess.run(
            arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(env) if env else None
        )

    return run


def row(label: str, seconds: float) -> None:
    """Print one measured time."""
    print(f"{label:<58} {seconds * 1e3:12.3f} ms")


def ratio(label: str, slower: float, faster: float, target: str) -> None:
    """Print how many times ``faster`` fits into ``slower``."""
    print(f"{label:<58} {slower / faster:12.2f} x   (target {target})")
