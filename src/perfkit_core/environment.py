"""What software made a run, without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from perfkit_core.schema.run import Environment

STACK = ("torch", "transformers", "diffusers")
"""Optional distributions that verification needs."""


def environment(distributions: Iterable[str]) -> Environment:
    """Return Python, platform and the versions of perfkit, ``distributions`` and the optional stack."""
    import platform

    versions = {name: installed_version(name) for name in ("perfkit-core", *distributions, *STACK)}
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        distributions={name: version for name, version in sorted(versions.items()) if version},
    )


def installed_version(distribution: str) -> str:
    """Return the installed version of ``distribution``, or an empty text."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
