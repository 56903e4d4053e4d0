"""An nsys export opened for reading: is it one, which schema has it, which tables and columns are there.

The file is opened read-only and as immutable: SQLite then takes no lock and leaves no file beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perfkit_core.errors import DamagedFileError, MissingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KNOWN_MAJOR: Final = 3
NEWEST_MINOR: Final = 25
"""Schemas 3.0 (nsys 2022.4) to 3.25 (2026.2) are known."""

_MAGIC = b"SQLite format 3\x00"
LATEST: Final = 1 << 62
"""No time, and no sum of times, is later or longer, in nanoseconds: sums stay far from the end of 64 bits."""

_META_TABLES = ("META_DATA_EXPORT", "EXPORT_META_DATA")
_EXPORT_AGAIN = "export the report again: nsys export --type sqlite REPORT.nsys-rep"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is known of an export before its tables are read.

    Attributes:
        path: The file.
        uri: How SQLite opens it: read-only, without locks.
        version: Schema version as three numbers.
        product: Version of the nsys that wrote it; empty when it does not say.
        columns: The names of its columns, by table.
    """

    path: Path
    uri: str
    version: tuple[int, int, int]
    product: str
    columns: Mapping[str, frozenset[str]]

    @property
    def schema(self) -> str:
        """Schema version as text."""
        return ".".join(str(part) for part in self.version)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Open it; damage found while reading becomes the error that names the file.

        Raises:
            DamagedFileError: SQLite cannot read on.
        """
        with damage(self.path), closing(sqlite3.connect(self.uri, uri=True)) as database:
            yield database


def open_export(path: Path) -> Export:
    """Look at a file that should be an nsys export.

    Raises:
        MissingError: There is no such file, or it has a schema newer than this version knows.
        DamagedFileError: It is no SQLite file, cut off, still being written, no nsys export, or of a schema older than
            any that this version knows.
    """
    _check_file(path)
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    with damage(path), closing(sqlite3.connect(uri, uri=True)) as database:
        columns = _columns(database)
        meta = _metadata(database, columns)
    if not meta:
        raise DamagedFileError(
            f"{path} is no export of nsys: it has no table {' or '.join(_META_TABLES)}",
            fix="give the SQLite file that nsys export --type sqlite wrote",
        )
    return Export(
        path=path,
        uri=uri,
        version=_version(path, meta),
        product=meta.get("EXPORT_PRODUCT_VERSION", ""),
        columns=columns,
    )


def check_times(
    export: Export, table: str, start: NDArray[np.int64], end: NDArray[np.int64], *, earliest: int = 0
) -> None:
    """Check the times of a table's rows, in nanoseconds since the recording began.

    Raises:
        DamagedFileError: A row has no time, one before ``earliest`` or beyond ``LATEST``, ends before it starts, or
            the durations of all add up to more.
    """
    import numpy as np

    if not len(start):
        return
    if start.min() < earliest or end.max() > LATEST:
        why = "a time is missing, negative or beyond all measure"
    elif (end < start).any():
        why = "a row ends before it starts"
    elif float(np.sum(end, dtype=np.float64) - np.sum(start, dtype=np.float64)) > LATEST:
        why = "its durations add up to more than can be"
    else:
        return
    raise DamagedFileError(f"{export.path} is damaged: table {table}: {why}", fix=_EXPORT_AGAIN)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn SQLite's complaints into the error that names the file.

    Raises:
        DamagedFileError: SQLite complained.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise DamagedFileError(f"{path} cannot be read: {error}", fix=_EXPORT_AGAIN) from error


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(100)
        size = path.stat().st_size
    except OSError as error:
        raise MissingError(f"{path} cannot be opened: {error.strerror}", fix="check the path") from error
    if not head.startswith(_MAGIC) or len(head) < 100:
        raise DamagedFileError(f"{path} is no SQLite file", fix="nsys export --type sqlite REPORT.nsys-rep makes one")
    # The stored number of pages counts only where both change counters agree (SQLite file format, 1.3.7).
    page = int.from_bytes(head[16:18], "big")
    expected = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if head[24:28] == head[92:96] and size < expected:
        raise DamagedFileError(f"{path} is cut off: {size} of {expected} bytes are there", fix=_EXPORT_AGAIN)
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise DamagedFileError(
                f"{path} is being written or was left unfinished: {beside.name} stands beside it", fix=_EXPORT_AGAIN
            )


def _columns(database: sqlite3.Connection) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    query = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    for table, column in database.execute(query):
        found.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in found.items()}


def _metadata(database: sqlite3.Connection, columns: Mapping[str, frozenset[str]]) -> dict[str, str]:
    for table in _META_TABLES:
        if {"name", "value"} <= columns.get(table, frozenset()):
            rows = database.execute(f"SELECT name, value FROM {table}").fetchall()  # noqa: S608 - one of two constants
            return {str(name): str(value) for name, value in rows}
    return {}


def _version(path: Path, meta: Mapping[str, str]) -> tuple[int, int, int]:
    text = meta.get("EXPORT_SCHEMA_VERSION", "")
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise DamagedFileError(f"{path} does not say which schema it has: {text!r:.40}", fix=_EXPORT_AGAIN)
    major, minor, micro = (int(part) for part in parts)
    said = f"{path} has the export schema {text}; known are {KNOWN_MAJOR}.0 to {KNOWN_MAJOR}.{NEWEST_MINOR}"
    if major > KNOWN_MAJOR:  # nothing is wrong with the file: what reads it is too old
        raise MissingError(said, fix="update perfkit-nsight, or export the report with nsys 2026.2 or older")
    if major < KNOWN_MAJOR:
        raise DamagedFileError(said, fix="export the report with nsys 2022.4 or newer")
    return major, minor, micro
