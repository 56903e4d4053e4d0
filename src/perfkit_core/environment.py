"""What software made a run, without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from perfkit_core.privacy import is_secret
from perfkit_core.schema.run import DevicePeaks, Environment

if TYPE_CHECKING:
    from perfkit_core.specs import DeviceSpec

STACK = ("torch", "transformers", "diffusers")
"""Optional distributions that verification needs."""

VARIABLES = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_TF32_", "PYTORCH_", "TORCH"
)  # fmt: skip
"""Beginnings of the names of environment variables that change how torch computes."""

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""What a worker on the CPU gets unless the user says how idle threads wait.

OpenMP's idle threads spin by default. Where other work wants the processors too, they take them from the very thread
they wait for: on two busy cores Wan2.1 ``tiny`` took 5.2 s instead of 1.7 s, and a matrix product of 0.5 ms 8 ms. The
price is the waking of threads: in the quietest moments of that machine up to 0.2 ms more per operation that is
split among threads. ``OMP_WAIT_POLICY=ACTIVE`` is what to set for a machine that does nothing else.
"""
_SAY_HOW = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def environment(
    distributions: Iterable[str], *, git: bool = False, variables: Mapping[str, str] | None = None
) -> Environment:
    """Return Python, platform and the versions of perfkit, ``distributions`` and the optional stack.

    Args:
        git: Whether to ask for the state of the working directory's repository.
        variables: Environment of the workers, of which what concerns torch is kept.
    """
    import platform

    versions = {name: installed_version(name) for name in ("perfkit-core", *distributions, *STACK)}
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        distributions={name: version for name, version in sorted(versions.items()) if version},
        git=git_state() if git else {},
        variables={
            name: value
            for name, value in sorted((variables or {}).items())
            if name.startswith(VARIABLES) and not is_secret(name)
        },
    )


def known_peaks(name: str, devices: Sequence[DeviceSpec]) -> DevicePeaks | None:
    """Return the peaks of the GPU that calls itself so; None when no entry of ``devices`` is of it."""
    spec = next((device for device in devices if device.matches(name)), None)
    if spec is None:
        return None
    return DevicePeaks(
        name=spec.name,
        reported=name,
        source=spec.source,
        memory_bandwidth=spec.memory_bandwidth,
        flops_per_s=dict(spec.dense_peaks),
    )


def worker_environment(device: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker.

    Args:
        device: Where it executes: ``cpu`` or ``cuda:N``.
        environ: Environment of this process.
    """
    waiting = WAITING if device == "cpu" and not any(name in environ for name in _SAY_HOW) else {}
    # Safe path: a file in the user's directory must not shadow a module.
    return {**environ, **waiting, "PYTHONSAFEPATH": "1"}


def git_state() -> dict[str, str]:
    """Return commit and whether tracked files differ from it; empty outside a repository or without git."""
    import subprocess

    found: dict[str, str] = {}
    for name, words in (("commit", ("rev-parse", "HEAD")), ("changes", ("status", "--porcelain", "-uno"))):
        try:
            done = subprocess.run(  # noqa: S603 - fixed words
                ("git", *words),  # noqa: S607 - whichever git the user has
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):  # no git, or no repository here
            return {}
        found[name] = done.stdout.strip()
    return {"commit": found["commit"], "state": "modified" if found["changes"] else "clean"}


def installed_version(distribution: str) -> str:
    """Return the installed version of ``distribution``, or an empty text."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
