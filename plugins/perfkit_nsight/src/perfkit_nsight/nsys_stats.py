"""CSV output of ``nsys stats``: one or several reports in a file, units in the headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from perfkit_core.errors import DamagedFileError
from perfkit_core.importer import ImportContext, Imported
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals
from perfkit_nsight.paths import segment
from perfkit_nsight.tables import TIMES, nanoseconds, plain, read_text, rows_of

_TOOL = "Nsight Systems"
_UNIT = re.compile(r"^(?P<name>.+?) \((?P<unit>[^()]+)\)$")
_REPORT = re.compile(r"Processing .*?(?P<name>\w+)\.py")
AGAIN = "nsys stats --report cuda_gpu_kern_sum,nvtx_kern_sum --format csv REPORT.nsys-rep > FILE"
KERNELS: Final = frozenset({"Total Time", "Instances", "Name"})
RANGES: Final = frozenset({"NVTX Range", "Style", "Kern Inst", "Total Time", "Kernel Name"})
NO_NESTING = "nsys stats adds up by name of the range, not by nesting: exclusive times are not known and stand as 0"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One report.

    Attributes:
        name: Name of the report; empty when the file does not say.
        units: Unit by column; empty for a column without.
        rows: Cells by column, as text.
    """

    name: str
    units: Mapping[str, str]
    rows: Sequence[Mapping[str, str]]


class Block(NamedTuple):
    """The lines of one table, and the name of its report; empty when the file does not say."""

    name: str
    lines: list[str]


def sniff(path: Path, head: bytes) -> bool:
    """Tell whether a file has a header of ``nsys stats`` near its beginning."""
    lines = head.decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    return any(_is_header(line) for line in lines) or any(line.startswith("SKIPPED: ") for line in lines)


def load(context: ImportContext) -> Imported:
    """Read all reports; kernels and, where ``nvtx_kern_sum`` is among them, regions.

    Raises:
        DamagedFileError: There is no table, or one is cut off.
    """
    text = read_text(context.path)
    tables = list(tables_of(context.path, text))
    skipped = [line.strip() for line in text.splitlines() if line.startswith("SKIPPED: ")]
    if not any(table.rows for table in tables):
        why = skipped[0].removeprefix("SKIPPED: ") if skipped else "its tables have no rows"
        raise DamagedFileError(f"{context.path} holds no measurements: {why}", fix=AGAIN)
    kernels = next((table for table in tables if set(table.units) >= KERNELS and _is_of_kernels(table)), None)
    ranges = next((table for table in tables if set(table.units) >= RANGES), None)
    notes = [f"{len(skipped)} reports were skipped by nsys stats"] if skipped else []
    if kernels is None:
        notes.append("There is no cuda_gpu_kern_sum in the file, so no kernel time; the tables are in tables.json")
    report = None if kernels is None else _report(context.path, kernels, ranges)
    return Imported(tool=_TOOL, report=report, files={"tables.json": {"tables": _plain(tables)}}, notes=notes)


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


def _report(path: Path, kernels: Table, ranges: Table | None) -> RegionsReport:
    rows = sorted(_kernel_rows(path, kernels), key=lambda row: (-row.total_ns, row.name, row.grid, row.block))
    total = sum(row.total_ns for row in rows)
    limits = ["nsys stats does not say which device a kernel ran on: -1 stands for it"]
    limits.append(NO_NESTING if ranges else "There is no nvtx_kern_sum in the file, so no regions")
    return RegionsReport(
        source_pass="",
        profiler=f"{_TOOL} (nsys stats)",
        limits=tuple(limits),
        regions=() if ranges is None else tuple(_region_rows(path, ranges)),
        totals=RegionTotals(
            kernels=sum(row.calls for row in rows),
            total_ns=total,
            outside_ns=total,
            unattributed={"nesting is not known": total} if total else {},
        ),
        kernels=tuple(rows),
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
            calls=_count(path, row["Instances"]),
            total_ns=_time(path, row["Total Time"], table.units["Total Time"]),
        )


def _region_rows(path: Path, table: Table) -> Iterator[RegionRow]:
    sums: dict[tuple[str, str], list[int]] = {}
    for row in table.rows:
        if row["Style"] != "PushPop":
            continue
        domain, colon, name = row["NVTX Range"].partition(":")
        key = (domain, segment(name)) if colon else ("", segment(domain))
        values = sums.setdefault(key, [0, 0, 0])
        opened = _count(path, row["NVTX Inst"]) if "NVTX Inst" in row else 0
        time = _time(path, row["Total Time"], table.units["Total Time"])
        values[:] = values[0] + time, values[1] + _count(path, row["Kern Inst"]), max(values[2], opened)
    for (domain, name), (time, kernels, opened) in sums.items():
        yield RegionRow(
            domain=domain,
            path=name,
            inclusive_ns=time,
            exclusive_ns=0,
            inclusive_kernels=kernels,
            exclusive_kernels=0,
            busy_ns=0,
            span_ns=0,
            instances=opened,
        )


def _count(path: Path, text: str) -> int:
    found = plain(text)
    if not isinstance(found, int) or found < 0:
        raise DamagedFileError(f"{path} is damaged: {text!r:.40} is no count", fix=AGAIN)
    return found


def _time(path: Path, text: str, unit: str) -> int:
    found = nanoseconds(text, unit)
    if found is None:
        raise DamagedFileError(f"{path} is damaged: {text!r:.40} is no time in {unit!r:.20}", fix=AGAIN)
    return found


def _plain(tables: Sequence[Table]) -> list[dict[str, Any]]:
    return [
        {
            "report": table.name,
            "units": dict(table.units),
            "rows": [{name: plain(cell) for name, cell in row.items()} for row in table.rows],
        }
        for table in tables
    ]
