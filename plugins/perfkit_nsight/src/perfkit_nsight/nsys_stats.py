"""CSV output of ``nsys stats``: one or several reports in a file, units in the headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.importer import ImportContext, Imported
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals
from perfkit_nsight.nsys_stats_lines import AGAIN, Line, Table, Work, count, is_marked, known, lines_of, time_of
from perfkit_nsight.paths import segment
from perfkit_nsight.tables import TIMES, plain, read_text, rows_of, text_of

__all__ = ["AGAIN", "Block", "Table", "blocks_of", "load", "sniff", "tables_of"]

_TOOL = "Nsight Systems"
_UNIT = re.compile(r"^(?P<name>.+?) \((?P<unit>[^()]+)\)$")
_REPORT = re.compile(r"Processing .*?(?P<name>\w+)\.py")
_BEGUN = re.compile(r"^Processing \[.+\] with \[.*\w\.py\]", re.MULTILINE)
_SKIPPED = re.compile(r"^SKIPPED: ", re.MULTILINE)
_PRINTED = re.compile(r"^ \*\* .+ \(\w+\):\s*$|^ *Time ?\(%\) {2,}\S", re.MULTILINE)
"""Title or header of a table in nsys stats' own format for reading, which is the default."""
KERNELS: Final = frozenset({"Total Time", "Instances", "Name"})
RANGES: Final = frozenset({"NVTX Range", "Style", "Kern Inst", "Total Time", "Kernel Name"})
_WHOLE: Final = frozenset({"ns", "nsec"})
UNTOLD: Final = "(not told by nsys stats)"
"""Region of the time whose innermost region the tables do not tell: with it, exclusive times add up to the total."""

NO_NESTING = (
    "nsys stats adds a kernel to every range around it and does not tell how ranges nest: exclusive times are those "
    f"of kernels that one range of the domain alone has, so at least that; the rest stands as {UNTOLD}"
)
NO_RANGES = f"There is no nvtx_kern_sum in the file: what ran inside or outside of regions is unknown, and is {UNTOLD}"


class Block(NamedTuple):
    """The lines of one table, and the name of its report; empty when the file does not say."""

    name: str
    lines: list[str]


def sniff(path: Path, head: bytes) -> bool:
    """Tell whether a file is output of ``nsys stats``, of whatever format."""
    text = text_of(head)
    if any(_is_header(line) for line in text.splitlines()):
        return True
    return any(one.search(text) for one in (_SKIPPED, _PRINTED, _BEGUN))


def load(context: ImportContext) -> Imported:
    """Read all reports; kernels and, where ``nvtx_kern_sum`` is among them, regions.

    Raises:
        MissingError: There is neither ``cuda_gpu_kern_sum`` nor ``nvtx_kern_sum``, or it is no CSV.
        DamagedFileError: There is no table, or one is cut off.
    """
    text = read_text(context.path)
    check_whole(context.path, text)
    tables = list(tables_of(context.path, text))
    skipped = [line.strip() for line in text.splitlines() if line.startswith("SKIPPED: ")]
    if not any(table.rows for table in tables):
        why = skipped[0].removeprefix("SKIPPED: ") if skipped else "its tables have no rows"
        raise DamagedFileError(f"{context.path} holds no measurements: {why}", fix=AGAIN)
    kernels = next((table for table in tables if set(table.units) >= KERNELS and _is_of_kernels(table)), None)
    ranges = next((table for table in tables if set(table.units) >= RANGES), None)
    notes = [f"nsys stats skipped reports: {len(skipped)}"] if skipped else []
    if not text.endswith("\n"):
        notes.append("The file ends without an end of line: its last row may be cut off")
    if kernels is None and ranges is None:
        names = ", ".join(table.name or "one without a name" for table in tables)
        raise MissingError(f"{context.path} has no table of kernels; its tables are: {names}", fix=AGAIN)
    report = _report(context.path, kernels, ranges)
    return Imported(tool=_TOOL, report=report, files={"tables.json": {"tables": _plain(tables)}}, notes=notes)


def check_whole(path: Path, text: str) -> None:
    """Refuse what has no rows to read.

    Raises:
        MissingError: It is a table made for reading.
        DamagedFileError: It ends before the rows of a table.
    """
    if any(_is_header(line) for line in text.splitlines()):
        lines = text.splitlines()
        if _is_header(lines[-1]) and not text.endswith("\n"):
            raise DamagedFileError(f"{path} is cut off: it ends in the header of a table", fix=AGAIN)
        return
    if _PRINTED.search(text):
        raise MissingError(f"{path} is a table of nsys stats made for reading, which cuts names off", fix=AGAIN)
    if _BEGUN.search(text) and not _SKIPPED.search(text):
        raise DamagedFileError(f"{path} is cut off: it ends before the rows of its first table", fix=AGAIN)


def tables_of(path: Path, text: str) -> Iterator[Table]:
    """Yield the tables of a file.

    Raises:
        DamagedFileError: A row has too few cells, or a quoted cell is not closed.
    """
    for block in blocks_of(text):
        yield _table(path, block.name, block.lines)


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the lines of every table of a file."""
    name, lines = "", list[str]()
    for line in [*text.replace("\r\n", "\n").splitlines(keepends=True), "\n"]:
        said = _REPORT.search(line)
        begins = _is_header(line)
        if (said or begins or not line.strip()) and lines and _closed(lines):
            yield Block(name, lines)
            name, lines = "", []
        if said:
            name = said["name"]
        elif begins or lines:
            lines.append(line)
    if lines:
        yield Block(name, lines)


def _closed(block: Sequence[str]) -> bool:
    return sum(line.count('"') for line in block) % 2 == 0


def _is_header(line: str) -> bool:
    cells = [cell.strip('" ') for cell in line.strip().split(",")]
    units = [found["unit"] for cell in cells if (found := _UNIT.match(cell))]
    return len(cells) > 2 and any(unit in TIMES for unit in units)


def _table(path: Path, name: str, block: Sequence[str]) -> Table:
    header, *rows = rows_of(path, block, again=AGAIN)
    split = [(found["name"], found["unit"]) if (found := _UNIT.match(cell)) else (cell, "") for cell in header]
    for row in rows:
        if len(row) != len(header):
            raise DamagedFileError(
                f"{path} is cut off or damaged: a row of {len(row)} cells in a table of {len(header)}", fix=AGAIN
            )
    columns = [column for column, _ in split]
    return Table(name=name, units=dict(split), rows=[dict(zip(columns, row, strict=True)) for row in rows])


def _is_of_kernels(table: Table) -> bool:
    """Whether it is the summary of kernels: others have the same columns, and their names or no name told."""
    return "kern" in table.name and "nvtx" not in table.name and "api" not in table.name if table.name else True


def _report(path: Path, kernels: Table | None, ranges: Table | None) -> RegionsReport:
    lines = [] if ranges is None else list(lines_of(path, ranges))
    places: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        places.setdefault(line.place, []).append(line)
    found = _kernel_rows_of(places) if kernels is None else _kernel_rows(path, kernels)
    rows = sorted(found, key=lambda row: (-row.total_ns, row.name, row.grid, row.block))
    total = Work(sum(row.calls for row in rows), sum(row.total_ns for row in rows))
    regions: list[RegionRow] = []
    beyond: dict[str, int] = {}
    for domain in dict.fromkeys(line.domain for line in lines if line.style == "PushPop") or [""]:
        outside, inside = known(places, domain)
        rest = total.less(outside, *inside.values())
        if rest.time < 0 and all(table.units["Total Time"] in _WHOLE for table in (kernels, ranges) if table):
            raise DamagedFileError(f"{path} is damaged: its tables are of different captures", fix=AGAIN)
        regions += _region_rows(lines, domain, inside)
        if rest.time > 0:
            regions.append(_row(domain, UNTOLD, rest, rest, None))
        beyond[domain] = outside.time
    reasons = {"no range was open": sum(line.work.time for line in lines if not line.style)}
    reasons["only a start/end range was open"] = known(places, None)[0].time - reasons["no range was open"]
    return RegionsReport(
        profiler=f"{_TOOL} (nsys stats)",
        limits=tuple(_limits(lines, places, kernels, ranges)),
        regions=tuple(regions),
        totals=RegionTotals(
            kernels=total.kernels,
            total_ns=total.time,
            outside_ns=None if ranges is None else sum(reasons.values()),
            unattributed={reason: time for reason, time in reasons.items() if time},
            outside_by_domain=beyond if lines else {},
        ),
        kernels=tuple(rows),
    )


def _limits(
    lines: Sequence[Line], places: Mapping[Any, Sequence[Line]], kernels: Table | None, ranges: Table | None
) -> Iterator[str]:
    yield "nsys stats does not say which device a kernel ran on: -1 stands for it"
    units = sorted({table.units["Total Time"] for table in (kernels, ranges) if table} - _WHOLE)
    if units:
        yield f"nsys stats printed times in {', '.join(units)}, rounded: they are as exact as its figures"
    if ranges is None:
        yield NO_RANGES
        return
    yield NO_NESTING
    yield "Instances are those that hold the kernel that most of them hold: a range may have been opened more often"
    if again := sorted({line.name for line in lines if line.again}):
        yield f"Ranges that nest in themselves count a kernel's inclusive time once for each: {', '.join(again)}"
    if not is_marked(ranges) and any(line.domain for line in lines):
        yield (
            "What stands before a colon is taken as the domain, as nsys 2022.4 and older write it: range 'b' of domain "
            "'a' and a range that is itself named 'a:b' look the same"
        )
    if kernels is None:
        several = [held for held in places.values() if sum(bool(line.style) for line in held) > 1]
        if several:
            most = sum(line.work.time for held in places.values() for line in held)
            yield (
                "There is no cuda_gpu_kern_sum in the file: kernels, their times and the total are at least as shown, "
                f"as a kernel may be in one or in several ranges; the total is {most} ns at most"
            )


def _kernel_rows_of(places: Mapping[tuple[str, str, str], Sequence[Line]]) -> Iterator[KernelRow]:
    """Yield kernels from ``nvtx_kern_sum`` alone: of those in several ranges, what the largest range has."""
    sums: dict[str, Work] = {}
    for (_, _, name), held in places.items():
        ranges = [line.least for line in held if line.style]
        most = Work(max((one.kernels for one in ranges), default=0), max((one.time for one in ranges), default=0))
        sums[name] = sums.get(name, Work(0, 0)).more(most, *(line.work for line in held if not line.style))
    for name, (kernels, time) in sums.items():
        yield KernelRow(
            region="", domain="", device=-1, kind="kernel", name=name, grid="", block="", calls=kernels, total_ns=time
        )


def _kernel_rows(path: Path, table: Table) -> Iterator[KernelRow]:
    for row in table.rows:
        yield KernelRow(
            region="",
            domain="",
            device=-1,
            kind="kernel",
            name=row["Name"],
            grid=",".join(row.get("GridXYZ", "").split()),
            block=",".join(row.get("BlockXYZ", "").split()),
            calls=count(path, row["Instances"]),
            total_ns=time_of(path, row["Total Time"], table.units["Total Time"]),
        )


def _region_rows(lines: Sequence[Line], domain: str, known: Mapping[str, Work]) -> Iterator[RegionRow]:
    sums: dict[str, Work] = {}
    opened: dict[str, dict[tuple[str, ...], int | None]] = {}
    for line in lines:
        if line.style == "PushPop" and line.domain == domain:
            path = segment(line.name)
            sums[path] = sums.get(path, Work(0, 0)).more(line.work)
            instances, key = opened.setdefault(path, {}), (*line.place[:2], line.name)
            instances[key] = None if line.opened is None else max(instances.get(key) or 0, line.opened)
    for path, work in sums.items():
        counts = [times for times in opened[path].values() if times is not None]
        complete = len(counts) == len(opened[path])
        yield _row(domain, path, work, known.get(path, Work(0, 0)), sum(counts) if complete else None)


def _row(domain: str, path: str, inclusive: Work, exclusive: Work, instances: int | None) -> RegionRow:
    return RegionRow(
        domain=domain,
        path=path,
        inclusive_ns=inclusive.time,
        exclusive_ns=exclusive.time,
        inclusive_kernels=inclusive.kernels,
        exclusive_kernels=exclusive.kernels,
        busy_ns=None,
        span_ns=None,
        instances=instances,
    )


def _plain(tables: Sequence[Table]) -> list[dict[str, Any]]:
    return [
        {
            "report": table.name,
            "units": dict(table.units),
            "rows": [{name: plain(cell) for name, cell in row.items()} for row in table.rows],
        }
        for table in tables
    ]
