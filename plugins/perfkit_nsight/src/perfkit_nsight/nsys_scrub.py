"""Copies of nsys exports that are safe to share: all numbers, and of the texts only the names of work and ranges.

The copy is a new database, filled column by column: what is not known to be harmless is left out, and no freed page of
the old file comes along.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_nsight.nsys_import import REPORT
from perfkit_nsight.nsys_schema import damage, open_export
from perfkit_nsight.nsys_tables import read_export

REMOVED: Final = "(removed)"

_TEXTS: Final[Mapping[str, frozenset[str]]] = {
    "NVTX_EVENTS": frozenset({"text"}),
    "TARGET_INFO_GPU": frozenset({"name", "chipName"}),
    "TARGET_INFO_GPU_METRICS": frozenset({"metricName"}),
}
"""Texts that stay as they are: names of ranges, kinds of GPU."""

_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "CUPTI_ACTIVITY_KIND_KERNEL": frozenset({"demangledName", "shortName", "mangledName"}),
    "CUPTI_ACTIVITY_KIND_RUNTIME": frozenset({"nameId"}),
    "CUPTI_ACTIVITY_KIND_OVERHEAD": frozenset({"nameId"}),
    "CUDA_GRAPH_EVENTS": frozenset({"nameId"}),
    "CUDA_GRAPH_NODE_EVENTS": frozenset({"nameId"}),
    "CUBLAS_EVENTS": frozenset({"nameId"}),
    "CUDNN_EVENTS": frozenset({"nameId"}),
    "PROFILER_OVERHEAD": frozenset({"nameId"}),
    "OSRT_API": frozenset({"nameId"}),
    "NVTX_EVENTS": frozenset({"textId"}),
}
"""Columns whose numbers stand for names in StringIds that stay."""

_META: Final[Mapping[str, re.Pattern[str]]] = {
    "EXPORT_SCHEMA_VERSION": re.compile(r"\d+\.\d+\.\d+"),
    "EXPORT_SCHEMA_VERSION_MAJOR": re.compile(r"\d+"),
    "EXPORT_SCHEMA_VERSION_MINOR": re.compile(r"\d+"),
    "EXPORT_SCHEMA_VERSION_MICRO": re.compile(r"\d+"),
    "EXPORT_PRODUCT_VERSION": re.compile(r"\d+(\.\d+)*(-\w{1,16})?"),
    "EXPORT_PRODUCT_NAME": re.compile(r"NVIDIA Nsight Systems"),
}
"""What stays of the tables of metadata, where it has the form that it should have."""

_TABLES = "SELECT name FROM old.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
_META_TABLES = ("META_DATA_EXPORT", "EXPORT_META_DATA")
_ENUMERATION = re.compile(r"ENUM_\w+")
_LABEL = re.compile(r"[\w .,:/()+<>&'-]{1,120}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"(?:^|[\s\"'=(])(?:/(?:home|root|tmp|mnt|data|work|Users)/|[A-Z]:\\)")


def scrub(path: Path, output: Path, *, read: bool = True) -> Sequence[str]:
    """Write the copy.

    Args:
        path: The export.
        output: The copy, which does not exist.
        read: Whether to read it first as an import does, so that what cannot be imported is refused.

    Returns:
        What was done, one line each.

    Raises:
        MissingError: It is a report of nsys, whose format only nsys writes.
        DamagedFileError: It is no export, or damaged.
    """
    if path.name.endswith(REPORT):
        raise MissingError(
            f"{path} cannot be scrubbed: only nsys writes its format",
            fix=f"nsys export --type sqlite --lazy=false -o FILE.sqlite {path.name}, then perfkit scrub FILE.sqlite",
        )
    export = open_export(path)
    if read:
        read_export(path)
    target = f"{output.resolve().as_uri()}?mode=rwc"
    with damage(path), closing(sqlite3.connect(target, uri=True, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("ATTACH ? AS old", (export.uri,))
        database.execute("BEGIN")
        tables = [name for (name,) in database.execute(_TABLES)]
        for table in tables:
            _copy(database, path, table)
        database.execute("COMMIT")
        suspects = list(_suspects(database, tables))
    return (
        f"tables copied: {len(tables)}; every number was kept, and of the texts the names of kernels, calls and ranges",
        *suspects,
    )


def _copy(database: sqlite3.Connection, path: Path, table: str) -> None:
    """Make the table anew and fill it in the order of the old one."""
    columns = [(str(row[1]), str(row[2])) for row in database.execute(f'PRAGMA old.table_info("{table}")')]
    for name in (table, *(name for name, _ in columns)):
        if _IDENTIFIER.fullmatch(name) is None:
            raise DamagedFileError(f"{path} has a table or column {name!r:.60}", fix="export the report again")
    kinds = ", ".join(f'"{name}" {kind if _IDENTIFIER.fullmatch(kind) else ""}' for name, kind in columns)
    database.execute(f'CREATE TABLE main."{table}" ({kinds})')
    if table in _META_TABLES:
        _copy_metadata(database, table)
        return
    chosen = ", ".join(_kept(database, table, name, kind) for name, kind in columns)
    database.execute(f'INSERT INTO main."{table}" SELECT {chosen} FROM old."{table}" ORDER BY rowid')  # noqa: S608 - names were checked


def _kept(database: sqlite3.Connection, table: str, column: str, kind: str) -> str:
    """Return the expression for what stays of a column; in a column of numbers a text is no number."""
    number = f"""typeof("{column}") IN ('integer', 'real', 'null')"""
    if kind.upper() not in {"TEXT", "BLOB", ""}:
        return f'CASE WHEN {number} THEN "{column}" END'
    if column in _TEXTS.get(table, ()):
        return f'"{column}"'
    if table == "StringIds":
        return f"""CASE WHEN id IN ({_named(database)}) THEN "{column}" ELSE '{REMOVED}' END"""
    if _ENUMERATION.fullmatch(table):
        database.create_function("is_label", 1, _is_label, deterministic=True)
        return f'CASE WHEN is_label("{column}") THEN "{column}" END'
    return f"""CASE WHEN "{column}" IS NULL THEN NULL WHEN {number} THEN "{column}" ELSE '{REMOVED}' END"""


def _is_label(value: object) -> bool:
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def _named(database: sqlite3.Connection) -> str:
    """Return the query for the numbers of all names that stay."""
    parts = []
    for table, wanted in _NAMES.items():
        present = {str(row[1]) for row in database.execute(f'PRAGMA old.table_info("{table}")')}
        parts += [f'SELECT "{name}" FROM old."{table}"' for name in sorted(wanted & present)]  # noqa: S608 - constants
    return " UNION ".join(parts) or "NULL"


def _copy_metadata(database: sqlite3.Connection, table: str) -> None:
    """Keep the versions of the export, without which nothing can be read."""
    rows = database.execute(f'SELECT name, value FROM old."{table}" ORDER BY rowid').fetchall()  # noqa: S608 - a constant
    for name, value in rows:
        form = _META.get(name)
        if form is not None and form.fullmatch(str(value)):
            database.execute(f'INSERT INTO main."{table}" (name, value) VALUES (?, ?)', (name, value))  # noqa: S608 - a constant


def _suspects(database: sqlite3.Connection, tables: Sequence[str]) -> Iterator[str]:
    """Yield what to look at before sharing: names are kept, and a program may put anything into them."""
    found: list[str] = []
    for table, column in (("StringIds", "value"), ("NVTX_EVENTS", "text")):
        if table in tables:
            query = f'SELECT DISTINCT "{column}" FROM main."{table}" WHERE "{column}" IS NOT NULL'  # noqa: S608 - constants
            found += [str(value) for (value,) in database.execute(query) if _PATH.search(str(value))]
    if found:
        yield f"names of ranges or kernels that were kept and look like paths: {len(found)}, such as {found[0]!r:.120}"
