"""What software made a run, without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from perfkit_core.schema.run import Environment

STACK = ("torch", "transformers", "diffusers")
"""Optional distributions that verification needs."""


def environment(distributions: Iterable[str], *, git: bool = False) -> Environment:
    """Return Python, platform and the versions of perfkit, ``distributions`` and the optional stack.

    Args:
        git: Whether to ask for the state of the working directory's repository.
    """
    import platform

    versions = {name: installed_version(name) for name in ("perfkit-core", *distributions, *STACK)}
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        distributions={name: version for name, version in sorted(versions.items()) if version},
        git=git_state() if git else {},
    )


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
