"""``ncu --csv`` output: the raw page, a row per kernel, and the details page, a row per kernel and metric."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.importer import ImportContext, Imported
from perfkit_nsight.results import DURATION, Counters, Result, columns_of, report_of
from perfkit_nsight.tables import nanoseconds, number, plain, read_text, rows_of, text_of

_HEADER = re.compile(r'^"?ID"?,.*"?Kernel Name"?', re.MULTILINE)
_BEGUN = re.compile(r'^"?ID"?,"?Process ID"?,', re.MULTILINE)
_PRINTED = re.compile(r"^ {4}Section: \w|^ {2}\S.* \(\d+, \d+, \d+\)x\(\d+, \d+, \d+\), Context \d+", re.MULTILINE)
"""A section or a kernel in ncu's own format for reading, which is the default."""
_FACTS = frozenset(
    {"ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream", "Block Size", "Grid Size",
     "Device", "CC"}
)  # fmt: skip
_RANGE_COLUMN = "Push/Pop_Range:"
_RANGE = re.compile(r'"([^":]*):([^"]*?)(?::[^":]*){6}"')
"""A quoted range in the NVTX column: domain, name, then six attributes."""
_DEFAULT = "<default domain>"
_TOOL = "Nsight Compute"
AGAIN = "write it again: ncu --import REPORT.ncu-rep --csv --page raw --nvtx"


def sniff(path: Path, head: bytes) -> bool:
    """Tell whether a file is output of ``ncu``, CSV or made for reading."""
    text = text_of(head)
    return any(one.search(text) for one in (_HEADER, _BEGUN, _PRINTED))


@dataclass
class _Table:
    """Metrics by (section, name): unit and value by the kernel's place."""

    results: list[Result] = field(default_factory=list)
    values: dict[tuple[str, str], dict[int, tuple[str, str]]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)


def load(context: ImportContext) -> Imported:
    """Read the table.

    Raises:
        DamagedFileError: There is none, or it is cut off.
    """
    from perfkit_nsight.counter_report import importing

    header, cells = rows(context.path)
    table = _details(context.path, header, cells) if "Metric Name" in header else _raw(context.path, header, cells)
    if not table.results:
        raise DamagedFileError(f"{context.path} has no kernels: nothing was profiled", fix="check ncu's filters")
    limits = ["Made from the CSV output of ncu, which rounds values"]
    if any(one.device < 0 for one in table.results):
        limits.append("The table does not say which device a kernel ran on: -1 stands for it")
    profiler = f"{_TOOL} (CSV output)"
    found = Counters(profiler=profiler, results=table.results, metrics=list(_metrics(table)), rules=table.rules)
    report = report_of(table.results, profiler=profiler, limits=limits)
    files = {"launches.json": columns_of(table.results, found.metrics, found.rules)}
    return Imported(tool=_TOOL, report=report, files=files, counters=importing(found, context.options))


def rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table; other lines before and after it are left out.

    Raises:
        DamagedFileError: There is none, or it is cut off.
        MissingError: It is output of ncu, but no CSV.
    """
    text = read_text(path)
    found = _HEADER.search(text)
    if found is None:
        if _BEGUN.search(text):
            raise DamagedFileError(f"{path} is cut off: it ends in the header of the table", fix=AGAIN)
        if _PRINTED.search(text):
            raise MissingError(f"{path} is output of ncu made for reading, not CSV", fix=AGAIN)
        raise DamagedFileError(f"{path} has no table of ncu --csv", fix=AGAIN)
    found_rows = rows_of(path, text[found.start() :].splitlines(keepends=True), again=AGAIN)
    header, kept = next(found_rows), []
    # On the details page the row of a metric ends there: the columns of rules are left out.
    least = header.index("Metric Value") + 1 if "Metric Value" in header else len(header)
    for row in found_rows:
        if least <= len(row) <= len(header) and (row[0].isdigit() or len(row) == len(header)):
            kept.append(row + [""] * (len(header) - len(row)))
        elif row and row[0].isdigit() and len(row) > 1:
            raise DamagedFileError(
                f"{path} is cut off or damaged: a row of {len(row)} cells in a table of {len(header)}", fix=AGAIN
            )
    return header, kept


def _raw(path: Path, header: Sequence[str], found: list[list[str]]) -> _Table:
    units = dict(zip(header, found[0], strict=True)) if found and not found[0][0].strip() else {}
    table = _Table()
    names = [name for name in header if name not in _FACTS and ":Msg_Type:" not in name]
    for place, cells in enumerate(found[1:] if units else found):
        row = dict(zip(header, cells, strict=True))
        duration = nanoseconds(row.get(DURATION, ""), units.get(DURATION, ""))
        table.results.append(_result(path, row, duration))
        for name in names:
            table.values.setdefault(("", name), {})[place] = (units.get(name, ""), row[name])
    return table


def _details(path: Path, header: Sequence[str], found: list[list[str]]) -> _Table:
    table, places, durations = _Table(), dict[str, int](), dict[int, int]()
    first: list[dict[str, str]] = []
    for cells in found:
        row = dict(zip(header, cells, strict=True))
        place = places.setdefault(row["ID"], len(places))
        if place == len(first):
            first.append(row)
        name, unit, value = (row.get(column, "") for column in ("Metric Name", "Metric Unit", "Metric Value"))
        if name:
            table.values.setdefault((row.get("Section Name", ""), name), {})[place] = (unit, value)
            duration = nanoseconds(value, unit) if name in {DURATION, "Duration"} else None
            if duration is not None:
                durations[place] = duration
        if row.get("Rule Name"):
            table.rules.append(_rule(row, place))
    table.results += [_result(path, row, durations.get(place)) for place, row in enumerate(first)]
    return table


def _rule(row: Mapping[str, str], place: int) -> dict[str, Any]:
    return {
        "launch": place,
        "section": row.get("Section Name", ""),
        "rule": row["Rule Name"],
        "type": row.get("Rule Type", ""),
        "message": row.get("Rule Description", ""),
        "speedup": plain(row.get("Estimated Speedup", "")),
        "speedup_type": row.get("Estimated Speedup Type", ""),
    }


def _metrics(table: _Table) -> Iterator[dict[str, Any]]:
    """Yield a column per metric; where the unit changes from kernel to kernel it has a column of its own."""
    count = range(len(table.results))
    for (section, name), cells in table.values.items():
        units = [cells[place][0] if place in cells else "" for place in count]
        distinct = {units[place] for place in cells}
        column: dict[str, Any] = {"name": name} | ({"section": section} if section else {})
        column |= {"unit": distinct.pop()} if len(distinct) == 1 else {"units": units}
        yield {**column, "values": [plain(cells[place][1]) if place in cells else None for place in count]}


def _result(path: Path, row: Mapping[str, str], duration: int | None) -> Result:
    ident, process, device = (number(row.get(name, "")) for name in ("ID", "Process ID", "Device"))
    if ident is None:
        raise DamagedFileError(f"{path} is damaged: a kernel has the ID {row['ID']!r:.40}", fix=AGAIN)
    return Result(
        number=int(ident),
        name=row["Kernel Name"],
        process=None if process is None else int(process),
        device=-1 if device is None else int(device),
        grid=_size(row.get("Grid Size", "")),
        block=_size(row.get("Block Size", "")),
        duration_ns=duration,
        stacks=stacks_of(next((cell for name, cell in row.items() if _RANGE_COLUMN in name), "")),
    )


def _size(text: str) -> str:
    return ",".join(re.findall(r"\d+", text))


def stacks_of(cell: str) -> dict[str, tuple[str, ...]]:
    """Return the open ranges by domain, outermost first, of a cell of the NVTX column."""
    found: dict[str, list[str]] = {}
    for domain, name in _RANGE.findall(cell):
        found.setdefault("" if domain == _DEFAULT else domain, []).append(name)
    return {domain: tuple(names) for domain, names in found.items()}
