"""Finding Nsight Systems on this machine, and what a found one lacks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit_core.errors import MissingError
from perfkit_nsight.finding import SECONDS, candidates, release_of, version_of

VARIABLE = "PERFKIT_NSYS"
"""Environment variable that names the nsys to use."""

OLDEST = (2022, 4)
"""Oldest version whose exports and options are known to fit."""

_PLACES = (
    "/opt/nvidia/nsight-systems/*/bin/nsys",
    "/opt/nvidia/nsight-systems-cli/*/bin/nsys",
    "/usr/local/cuda*/bin/nsys",
    "/opt/nvidia/nsight-compute/*/host/target-linux-x64/nsys",
    "/usr/local/cuda*/nsight-compute-*/host/target-linux-x64/nsys",
)
_IMPORTER = "QdstrmImporter"


@dataclass(frozen=True, kw_only=True)
class Nsys:
    """An nsys on this machine.

    Attributes:
        path: The executable.
        version: Its version, such as ``2025.3.1.90-253135822126v0``; empty when it does not say.
        problems: What keeps it from recording or making reports, one line each with the way out.
    """

    path: Path
    version: str
    problems: tuple[str, ...]

    @property
    def release(self) -> tuple[int, int]:
        """Year and number of the release; zeros when unknown."""
        return release_of(self.version)


def find_nsys(environ: Mapping[str, str]) -> Nsys | None:
    """Return the nsys that ``PERFKIT_NSYS`` names, that is on PATH, or that another NVIDIA tool brought; else None.

    Of several, the first without problems counts. One that ``PERFKIT_NSYS`` names is taken whatever it lacks.

    Raises:
        MissingError: ``PERFKIT_NSYS`` names no file.
    """
    named = environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MissingError(f"{VARIABLE}={named} is no file", fix=f"unset {VARIABLE} or name the nsys executable")
        return _looked_at(Path(named))
    found = [_looked_at(path) for path in candidates("nsys", _PLACES, environ)]
    return next((tool for tool in found if not tool.problems), found[0] if found else None)


def usable_nsys(environ: Mapping[str, str]) -> Nsys:
    """Return an nsys that can record and make reports.

    Raises:
        MissingError: There is none, or what there is lacks something.
    """
    tool = find_nsys(environ)
    if tool is None:
        raise MissingError("nsys is not on this machine", fix=HOW_TO_INSTALL)
    if tool.problems:
        raise MissingError(f"{tool.path} cannot be used: {tool.problems[0]}", fix=f"or name another with {VARIABLE}")
    return tool


HOW_TO_INSTALL = f"install Nsight Systems (Debian: non-free, with contrib) or name it with {VARIABLE}=PATH"


def _looked_at(path: Path) -> Nsys:
    version, problem = version_of(path)
    if problem:
        return Nsys(path=path, version="", problems=(problem,))
    tool = Nsys(path=path, version=version, problems=())
    return Nsys(path=path, version=version, problems=tuple(_problems(tool)))


def _problems(tool: Nsys) -> Iterator[str]:
    if tool.release < OLDEST:
        yield f"version {tool.version} is older than {OLDEST[0]}.{OLDEST[1]}: install a newer one"
    target = tool.path.resolve().parent
    if target.name != "target-linux-x64":
        return  # another layout: what it lacks shows when it runs
    importer = target.parent / "host-linux-x64" / _IMPORTER
    if importer.exists():
        yield from _missing_libraries(importer)
        return
    elsewhere = sorted(
        {*target.parent.glob(f"*/{_IMPORTER}"), *Path("/usr/lib").glob(f"nsight-systems/host-linux-x64/{_IMPORTER}")}
    )
    if elsewhere:
        link = target.parent / "host-linux-x64"
        yield f"it looks for its importer in {link}, where it is not: ln -s {elsewhere[0].parent} {link}"
    else:
        yield f"it has no importer ({importer}), so it can record and make no report: install the whole package"


def _missing_libraries(program: Path) -> Iterator[str]:
    """Yield which shared libraries a program lacks; its own lie beside it."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return
    done = subprocess.run(  # noqa: S603 - a known tool on a known file
        [ldd, str(program)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={"LD_LIBRARY_PATH": str(program.parent)},
    )
    lacking = sorted({line.split()[0] for line in done.stdout.splitlines() if "not found" in line})
    if lacking:
        yield f"its importer lacks {', '.join(lacking)}: install the packages that hold them (Debian: libdw1, libelf1)"
