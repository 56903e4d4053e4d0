"""Writing hardware counters by region: ``ncu/regions/`` of a run, whatever read them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from perfkit_core.counter_pages import counters_page, region_page
from perfkit_core.rundir import COUNTERS, COUNTERS_PAGE, RunWriter
from perfkit_core.schema.counters import CounterRegion, CountersReport, RegionCounters

DIRECTORIES: Final = 2000
"""Regions that have a directory of their own at most, those with the largest time."""

OWN_DOMAIN: Final = "perfkit"

_LONGEST: Final = 100
"""Characters of a directory's name at most: every file system takes 255 bytes, and paths have a limit too."""

_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""Names that Windows keeps for itself, whatever follows after a dot."""

_FILES: Final = frozenset(PurePosixPath(name).name for name in (COUNTERS, COUNTERS_PAGE))


def region_directories(regions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Name a directory for every region: its path with dots, and a few digits where that would not do.

    Names have letters, digits, ``_``, ``-`` and dots inside alone, and differ in more than upper and lower case. A
    region has digits of its own name's hash when another's name is the same but for that, when its name was cut, or
    when a file has it.

    Args:
        regions: Domain and path of each, all different.
    """
    plain = {region: _plain(*region) for region in regions}
    often = Counter(name.casefold() for name in plain.values())
    found = {region: name for region, name in plain.items() if often[name.casefold()] == 1 and _usable(name)}
    taken = {name.casefold() for name in found.values()}
    for region in sorted(plain.keys() - found.keys()):
        digest = hashlib.sha256("\0".join(region).encode("utf-8", "surrogatepass")).hexdigest()
        for length in range(8, len(digest) + 1):
            name = f"{plain[region][: _LONGEST - length - 1].rstrip('.')}-{digest[:length]}"
            if name.casefold() not in taken and _usable(name):
                break
        taken.add(name.casefold())
        found[region] = name
    return found


def with_directory(times: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
    """Return the regions that have a directory of their own and a list of metrics: those with the largest time.

    Args:
        times: Kernel time by domain and path.
    """
    return sorted(times, key=lambda region: (-times[region], region))[:DIRECTORIES]


def with_directories(report: CountersReport) -> CountersReport:
    """Return the report with a directory for each of its regions, past a limit for those with the largest time.

    The others keep their figures but not their list of metrics, and a note says so.
    """
    times = {(region.domain, region.path): region.inclusive_ns for region in report.regions}
    names = region_directories(with_directory(times))
    regions = []
    for region in report.regions:
        directory = names.get((region.domain, region.path), "")
        cleared = {} if directory else {"metrics": ()}
        regions.append(region.model_copy(update={"directory": directory, **cleared}))
    notes = report.notes
    left = len(times) - len(names)
    if left:
        notes += (f"{left} regions with the least time have neither a directory of their own nor a list of metrics",)
    return report.model_copy(update={"regions": tuple(regions), "notes": notes})


def write_counters(writer: RunWriter, report: CountersReport, *, source: str, told: Sequence[str] = ()) -> None:
    """Write ``ncu/regions/report.json`` and ``report.md``, and both in a directory for every region.

    Args:
        report: What to write; directories are named here.
        source: Name of the pass that read the counters, which ``run.json`` gives for the report and its page.
        told: What the pass knows and the report does not hold, such as why it was replayed so; on the page alone.

    Raises:
        MissingError: A file cannot be written.
    """
    report = with_directories(report)
    writer.write_json(COUNTERS, report)
    writer.write_text(COUNTERS_PAGE, counters_page(report, told))
    folder = PurePosixPath(COUNTERS).parent
    for region in report.regions:
        if region.directory:
            writer.write_text(f"{folder}/{region.directory}/report.json", _alone(report, region))
            writer.write_text(f"{folder}/{region.directory}/report.md", region_page(report, region))
    writer.update(file_passes={**writer.index.file_passes, COUNTERS: source, COUNTERS_PAGE: source})


def _alone(report: CountersReport, region: CounterRegion) -> str:
    fields: dict[str, Any] = {name: getattr(region, name) for name in CounterRegion.model_fields}
    record = RegionCounters.model_construct(
        **fields, profiler=report.profiler, timeline=report.timeline, thresholds=report.thresholds
    )
    return record.model_dump_json(indent=1) + "\n"


def _plain(domain: str, path: str) -> str:
    segments = path.split("/") if domain == OWN_DOMAIN else [domain or "default", *path.split("/")]
    first, *rest = (re.sub(r"[^A-Za-z0-9_-]", "_", segment) or "_" for segment in segments)
    return ".".join((f"{first}_" if first.casefold() in _DEVICES else first, *rest))


def _usable(name: str) -> bool:
    return len(name) <= _LONGEST and name.casefold() not in _FILES
