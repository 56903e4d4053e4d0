"""Copies of CSV output of ncu and nsys that are safe to share: the tables, less the names of hosts and programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from perfkit_core.importer import ImportContext
from perfkit_core.options import Options
from perfkit_nsight import ncu_csv, nsys_stats
from perfkit_nsight.tables import read_text, rows_of
from perfkit_nsight.verdict_options import VerdictOptions

REMOVED = "(removed)"
_PRIVATE = frozenset({"Process Name", "Host Name"})
_PATH = re.compile(r"(?:[A-Za-z]:\\|~?/)(?:[^\s\]\",;|]+[/\\])+(?P<name>[^\s\]\",;|/\\]*)")


def scrub_ncu(path: Path, output: Path) -> Sequence[str]:
    """Write the table alone, without the names of processes and hosts.

    Returns:
        What was done, one line each.

    Raises:
        DamagedFileError: There is no table, or it is empty or cut off.
    """
    ncu_csv.load(ImportContext(path=path, options=VerdictOptions()))  # refuses what cannot be imported
    header, rows = ncu_csv.rows(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        named = zip(header, row, strict=True)
        writer.writerow([REMOVED if name in _PRIVATE and cell else _short(cell) for name, cell in named])
    output.write_text(text.getvalue(), encoding="utf-8")
    return ("what was removed: lines around the table, names of processes and hosts, directories",)


def scrub_stats(path: Path, output: Path) -> Sequence[str]:
    """Write tables, and which report each is, without directories and names of files.

    Returns:
        What was done, one line each.

    Raises:
        DamagedFileError: There is no table, or one is cut off.
        MissingError: It is no CSV, or has no table that can be imported.
    """
    nsys_stats.load(ImportContext(path=path, options=Options()))  # refuses what cannot be imported
    found = read_text(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for block in nsys_stats.blocks_of(found):
        text.write(f"Processing [{REMOVED}] with [{block.name}.py]... \n" if block.name else "")
        writer.writerows([_short(cell) for cell in row] for row in rows_of(path, block.lines, again=nsys_stats.AGAIN))
        text.write("\n")
    output.write_text(text.getvalue(), encoding="utf-8")
    return ("what was removed: lines around the tables, names of files, directories",)


def _short(cell: str) -> str:
    """Return the cell with every path reduced to its last part."""
    return _PATH.sub(lambda found: found["name"], cell)
