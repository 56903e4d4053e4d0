"""Columns of SQLite tables as NumPy arrays, several tables at a time.

ADBC's driver for SQLite fills Arrow columns in C and holds no lock of Python meanwhile, so that two threads read
twice as fast; see docs/dependencies.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from perfkit_core.errors import DamagedFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perfkit_nsight.nsys_schema import Export

Columns = dict[str, "NDArray[np.int64]"]
"""Columns by name; those whose values all fit have 4 bytes a value."""

NULL: Final = -(1 << 62)
"""Stands for NULL in columns of whole numbers."""

_THREADS = 2
_BATCH = 32_768
_SPLIT = 100_000
"""Rows from which on a table is read in two halves."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Columns of one table.

    Attributes:
        table: Its name; a table that is absent gives columns of no rows.
        numbers: Columns of whole numbers; one that is absent is NULL in every row.
        texts: Columns of text, each given as the numbers of its values in ``Reader.texts``.
        where: Condition on the rows, in SQL.
    """

    table: str
    numbers: Sequence[str]
    texts: Sequence[str] = ()
    where: str = "1"


class Reader:
    """Reads tables of one export.

    Attributes:
        texts: Distinct texts met so far; columns of text hold positions in it.
        broken: How many of them are no UTF-8; what cannot be decoded is replaced in them.
    """

    def __init__(self, export: Export) -> None:
        self._export = export
        self._lock = Lock()
        self._numbers: dict[str, int] = {}
        self._broken = set[str]()

    @property
    def texts(self) -> tuple[str, ...]:
        """Distinct texts met so far; columns of text hold positions in it."""
        return tuple(self._numbers)

    @property
    def broken(self) -> int:
        """How many texts are no UTF-8; what cannot be decoded is replaced in them."""
        return len(self._broken)

    def read(self, queries: Sequence[Query]) -> list[Columns]:
        """Return the columns of every query, rows in the table's order.

        Raises:
            DamagedFileError: The file cannot be read, or a column holds what it must not.
        """
        tables = [_Filling(query) for query in queries]
        parts = [part for table in tables for part in self._parts(table)]
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(self._fill, parts):
                pass  # an error of a thread is raised here
        return [table.columns for table in tables]

    def _parts(self, table: _Filling) -> Iterator[tuple[_Filling, str, int]]:
        """Make room for a table; yield the statements that read it, each with the first row that it fills."""
        query = table.query
        present = self._export.columns.get(query.table)
        if present is None:
            table.allot(0)
            return
        columns = [f'coalesce("{name}", {NULL})' if name in present else str(NULL) for name in query.numbers]
        columns += [f"coalesce(\"{name}\", '')" if name in present else "''" for name in query.texts]
        # Names come from constants of this package, never from the file.
        source = f'FROM "{query.table}"'
        sql = f"SELECT {', '.join(columns)} {source}"
        with self._export.connection() as database:
            rows, last = (
                database.execute(f"SELECT {one} {source}").fetchone()[0] for one in ("count(*)", "max(rowid)")
            )
            table.allot(rows)
            if rows < _SPLIT:
                yield table, sql, 0
                return
            half = f"WHERE rowid <= {last // 2}"
            yield table, f"{sql} {half}", 0
            below = database.execute(f"SELECT count(*) {source} {half}").fetchone()[0]
        yield table, f"{sql} WHERE rowid > {last // 2}", below

    def _fill(self, part: tuple[_Filling, str, int]) -> None:
        import adbc_driver_sqlite
        from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
        from pyarrow import RecordBatchReader

        table, sql, row = part
        try:
            # Not through its DB-API: that imports pandas, which takes longer than reading most exports.
            with (
                adbc_driver_sqlite.connect(self._export.uri) as database,
                AdbcConnection(database) as connection,
                AdbcStatement(connection) as statement,
            ):
                statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_BATCH)})
                statement.set_sql_query(sql)
                stream, _ = statement.execute_query()
                with RecordBatchReader.from_stream(stream) as reader:
                    for batch in reader:
                        with self._lock:
                            self._put(table, batch, row)
                        row += len(batch)
        except (Error, OSError, ValueError) as error:
            path, reason = self._export.path, str(error).splitlines()[0]
            raise DamagedFileError(
                f"{path} cannot be read at its table {table.query.table}: {reason}", fix="export the report again"
            ) from error

    def _put(self, table: _Filling, batch: Any, row: int) -> None:
        import pyarrow

        for name, column in zip((*table.query.numbers, *table.query.texts), batch.columns, strict=True):
            if name in table.query.texts:
                if not pyarrow.types.is_string(column.type):
                    raise ValueError(f"column {name} holds {column.type} where text is expected")
                table.put(name, row, self._interned(column))
            elif pyarrow.types.is_int64(column.type):
                table.put(name, row, _values(column))
            else:
                raise ValueError(f"column {name} holds {column.type} where whole numbers are expected")

    def _interned(self, column: Any) -> NDArray[np.int64]:
        import numpy as np
        import pyarrow

        # As bytes: SQLite does not check that text is UTF-8, and Arrow's decoding would fail.
        coded = column.cast(pyarrow.binary()).dictionary_encode()
        values = [decoded(value) for value in coded.dictionary.to_pylist()]
        self._broken.update(text for text, whole in values if not whole)
        numbers = [self._numbers.setdefault(text, len(self._numbers)) for text, _ in values]
        places: NDArray[np.int64] = np.array(numbers, dtype=np.int64).take(_values(coded.indices))
        return places


class _Filling:
    """Columns being filled: 4 bytes a value until one does not fit."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.columns: Columns = {}

    def allot(self, rows: int) -> None:
        """Make room for this many rows."""
        import numpy as np

        self.columns = {name: np.empty(rows, dtype=np.int32) for name in (*self.query.numbers, *self.query.texts)}

    def put(self, name: str, row: int, values: NDArray[np.int64]) -> None:
        """Write values into one column, from a row on."""
        import numpy as np

        column = self.columns[name]
        if column.dtype == np.int32 and len(values) and (values.min() < -(1 << 31) or values.max() >= 1 << 31):
            column = self.columns[name] = column.astype(np.int64)
        column[row : row + len(values)] = values


def decoded(value: bytes) -> tuple[str, bool]:
    """Return a text, and whether all of it is UTF-8: what is not is replaced."""
    try:
        return value.decode("utf-8"), True
    except UnicodeDecodeError:
        return value.decode("utf-8", errors="replace"), False


def encoded(column: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for every value its number among the distinct ones, and these in order of first appearance."""
    import numpy as np
    import pyarrow

    if not len(column) or (column == column[0]).all():
        return np.zeros(len(column), dtype=np.int64), column[:1].astype(np.int64)
    # pyarrow.array would import pandas, to see whether the column is one of its.
    buffers = [None, pyarrow.py_buffer(np.ascontiguousarray(column))]
    kind = pyarrow.from_numpy_dtype(column.dtype)
    found = pyarrow.Array.from_buffers(kind, len(column), buffers).dictionary_encode()
    return _values(found.indices).astype(np.int64), _values(found.dictionary).astype(np.int64)


def _values(column: Any) -> NDArray[Any]:
    """Return the values of an Arrow column of numbers without a NULL, not copied; its ``to_numpy`` imports pandas."""
    import numpy as np

    kind = np.dtype(f"i{column.type.bit_width // 8}")
    return np.frombuffer(column.buffers()[1], dtype=kind, count=len(column), offset=column.offset * kind.itemsize)


def combined(columns: Iterable[NDArray[Any]], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for every row the number of its combination of values, and a row of each combination: the first."""
    import numpy as np

    codes, size = np.zeros(rows, dtype=np.int64), 1
    for column in columns:
        part, distinct = encoded(column)
        if size * max(1, len(distinct)) >= 1 << 62:
            codes, kept = encoded(codes)
            size = len(kept)
        if len(distinct) > 1:
            codes = codes * len(distinct) + part
            size *= len(distinct)
    codes, kept = encoded(codes)
    first = np.zeros(len(kept), dtype=np.int64)
    first[codes[::-1]] = np.arange(rows - 1, -1, -1)
    return codes, first


def mapped(column: NDArray[Any], values: Mapping[int, int]) -> NDArray[np.int64]:
    """Return the column with every value replaced by what the mapping has for it; -1 where it has nothing."""
    import numpy as np

    codes, distinct = encoded(column)
    places = np.array([values.get(int(value), -1) for value in distinct], dtype=np.int64)
    return places[codes] if len(places) else np.empty(0, dtype=np.int64)
