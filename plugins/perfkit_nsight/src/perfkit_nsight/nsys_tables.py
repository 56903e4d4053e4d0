"""An nsys export read into a ``Capture``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perfkit_core.errors import DamagedFileError
from perfkit_nsight.capture import NO_CALL, PROCESS_BITS, Calls, Capture, Work, WorkKind
from perfkit_nsight.nsys_columns import NULL, Columns, Query, Reader, decoded, encoded, mapped
from perfkit_nsight.nsys_nvtx import NVTX, nvtx_of, spans
from perfkit_nsight.nsys_schema import KNOWN_MAJOR, LATEST, NEWEST_MINOR, Export, check_times, open_export
from perfkit_nsight.nsys_work import work_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"
_CALLS = "CUPTI_ACTIVITY_KIND_RUNTIME"
_TABLES: Final[Mapping[WorkKind, str]] = {
    "kernel": _KERNELS,
    "copy": "CUPTI_ACTIVITY_KIND_MEMCPY",
    "set": "CUPTI_ACTIVITY_KIND_MEMSET",
    "graph": "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
}
_PLACE = ("start", "end", "deviceId", "correlationId", "globalPid")
_OWN: Final[Mapping[WorkKind, tuple[str, ...]]] = {
    "kernel": (
        "demangledName",
        "shortName",
        "gridX",
        "gridY",
        "gridZ",
        "blockX",
        "blockY",
        "blockZ",
        "graphNodeId",
    ),
    "copy": ("copyKind", "graphNodeId"),
    "set": ("graphNodeId",),
    "graph": ("graphId",),
}
_QUERIES = (
    *(Query(table=table, numbers=(*_PLACE, *_OWN[kind])) for kind, table in _TABLES.items()),
    Query(
        table=_CALLS,
        numbers=("start", "end", "globalTid", "correlationId"),
    ),
    NVTX,
)
_EFFECTS: Final[Mapping[str, str]] = {
    _KERNELS: "no kernels were recorded",
    _CALLS: "no launch of any work was recorded, so none is attributed to a region",
    NVTX.table: "no NVTX ranges were recorded",
}


def read_export(path: Path) -> Capture:
    """Read the SQLite file that ``nsys export`` wrote.

    The file is opened read-only and nothing is written beside it. Schemas 3.0 to 3.25 are known; of a newer 3.x the
    known tables are read, and the report's limits say so.

    Args:
        path: The file.

    Returns:
        All device work, the API calls that launched it, and the NVTX ranges.

    Raises:
        MissingError: There is no such file.
        DamagedFileError: It is no SQLite file, cut off, damaged, no nsys export, or of an unknown schema.
    """
    export = open_export(path)
    _check_columns(export)
    reader = Reader(export)
    *works, calls, events = reader.read(_QUERIES)
    tables = dict(zip(_TABLES, works, strict=True))
    for kind, columns in tables.items():
        check_times(export, _TABLES[kind], columns["start"], columns["end"])
    check_times(export, _CALLS, calls["start"], calls["end"])
    check_times(export, NVTX.table, *spans(events), earliest=1 - LATEST)  # before 0: before the recording
    strings = _Strings(export)
    threads = tuple(one for one in _distinct(calls["globalTid"], events["globalTid"]) if one != NULL)
    nvtx = nvtx_of(events, reader.texts, strings.values, threads)
    pids = _distinct(*(columns["globalPid"] for columns in tables.values()))
    processes = tuple(sorted({*pids, *(thread & PROCESS_BITS for thread in threads)}))
    numbers = {process: place for place, process in enumerate(processes)}
    launched = _Launches(calls, tables, numbers)
    # Each table is let go as soon as it has become work: together they are most of the memory.
    work = {kind: _work(kind, tables.pop(kind), launched.call.pop(kind), numbers, strings) for kind in _TABLES}
    return Capture(
        profiler=f"Nsight Systems {export.product or 'of unknown version'} (export schema {export.schema})",
        processes=processes,
        threads=threads,
        domains=nvtx.domains,
        range_names=nvtx.names,
        work=work,
        calls=launched.calls(threads),
        push_pop=nvtx.push_pop,
        across_threads=nvtx.across_threads,
        start_end=nvtx.start_end,
        last=nvtx.last,
        limits=(*_limits(export), *_replaced(reader.broken + len(strings.broken)), *nvtx.limits, *launched.limits),
    )


class _Strings:
    """Values of StringIds and of enumerations, by their numbers.

    Attributes:
        broken: Those met so far that are no UTF-8, by table and number.
    """

    def __init__(self, export: Export) -> None:
        self._export = export
        self.broken = set[tuple[str, int]]()

    def values(self, wanted: NDArray[np.int64], table: str = "StringIds", column: str = "value") -> dict[int, str]:
        """Return the texts of these numbers; a number that has none is absent.

        Raises:
            DamagedFileError: One is no text.
        """
        if not {"id", column} <= self._export.columns.get(table, frozenset()):
            return {}
        numbers = {int(value) for value in wanted}
        with self._export.connection() as database:
            database.text_factory = decoded
            rows = database.execute(f'SELECT id, "{column}" FROM "{table}"')  # noqa: S608 - constants of this package
            found = {number: value for number, value in rows if number in numbers and value is not None}
        if any(not isinstance(value, tuple) for value in found.values()):
            raise DamagedFileError(
                f"{self._export.path} is damaged: column {column} of its table {table} holds what is no text",
                fix="export the report again with nsys export",
            )
        self.broken.update((table, number) for number, (_, whole) in found.items() if not whole)
        return {number: text for number, (text, _) in found.items()}


def _check_columns(export: Export) -> None:
    if not {"id", "value"} <= export.columns.get("StringIds", frozenset()):
        raise DamagedFileError(
            f"{export.path} is damaged: it has no table StringIds with columns id and value, so its names are lost",
            fix="export the report again with nsys export",
        )
    for query in _QUERIES:
        present = export.columns.get(query.table)
        needed = {"start"} if query is NVTX else {"start", "end"}
        if present is not None and not needed <= present:
            missing = ", ".join(sorted(needed - present))
            raise DamagedFileError(
                f"{export.path}: its table {query.table} has no column {missing}",
                fix="export the report again with nsys export",
            )


def _limits(export: Export) -> Iterator[str]:
    if export.version[0] == KNOWN_MAJOR and export.version[1] > NEWEST_MINOR:
        yield (
            f"The export has schema {export.schema}, newer than {KNOWN_MAJOR}.{NEWEST_MINOR}: what it added is not read"
        )
    absent = [query.table for query in _QUERIES if query.table not in export.columns]
    for table in absent:
        effect = _EFFECTS.get(table)
        yield f"The export has no table {table}" + (f": {effect}" if effect else ": nothing of the kind is counted")
    for query in _QUERIES:
        present = export.columns.get(query.table)
        names = () if present is None else [name for name in (*query.numbers, *query.texts) if name not in present]
        if names:
            yield f"Table {query.table} has no column {', '.join(names)}: its values are unknown"


def _replaced(number: int) -> Iterator[str]:
    if number:
        yield f"{number} names are no UTF-8; what cannot be decoded in them is shown as \N{REPLACEMENT CHARACTER}"


def _distinct(*columns: NDArray[np.int64]) -> list[int]:
    return sorted({int(value) for column in columns for value in encoded(column)[1]})


class _Launches:
    """Which API call launched what: the one of the same process with the same correlation.

    Attributes:
        call: For each kind of work the call of every row, a position among the calls that are kept.
        limits: What was found wrong.
    """

    def __init__(self, calls: Columns, tables: Mapping[WorkKind, Columns], processes: Mapping[int, int]) -> None:
        import numpy as np

        self._calls = calls
        known = {number: place for number, place in processes.items() if number != NULL}
        owner = {one: known.get(one & PROCESS_BITS, -1) for one in _distinct(calls["globalTid"]) if one != NULL}
        key = _keys(calls["correlationId"], mapped(calls["globalTid"], owner), len(processes))
        # Of several calls with one number the first is the outermost: it began before it made the others.
        order = np.lexsort((calls["start"], key))
        order = order[np.searchsorted(key[order], 0) :]
        ordered = key[order]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.limits = self._repeated(len(ordered) - len(first))
        order, ordered = order[first], ordered[first]
        found = {kind: _found(ordered, order, columns, known, len(processes)) for kind, columns in tables.items()}
        used = np.zeros(len(key), dtype=bool)
        launches = np.zeros(len(key), dtype=bool)
        for kind, places in found.items():
            used[places[places >= 0]] = True
            if kind in {"kernel", "graph"}:
                launches[places[places >= 0]] = True
        self._kept = np.flatnonzero(used)
        self._launches = launches[self._kept]
        renumbered = np.cumsum(used) - 1
        self.call: dict[WorkKind, NDArray[np.int64]] = {
            kind: np.where(places >= 0, renumbered[places], NO_CALL) if len(renumbered) else places
            for kind, places in found.items()
        }

    def calls(self, threads: Sequence[int]) -> Calls:
        """Return the calls that put work on a device."""
        import numpy as np

        start, end, thread = (self._calls[name][self._kept].astype(np.int64) for name in ("start", "end", "globalTid"))
        places = {number: place for place, number in enumerate(threads)}
        return Calls(start=start, end=np.maximum(start, end), thread=mapped(thread, places), launches=self._launches)

    @staticmethod
    def _repeated(number: int) -> tuple[str, ...]:
        if not number:
            return ()
        return (f"{number} API calls share their correlation with an earlier one; the earlier is taken as the launch",)


def _keys(correlation: NDArray[np.int64], process: NDArray[np.int64], processes: int) -> NDArray[np.int64]:
    """Return one number for correlation and process; negative where either is unknown."""
    import numpy as np

    correlation = correlation.astype(np.int64)
    usable = (correlation != NULL) & (process >= 0) & (np.abs(correlation) < (1 << 62) // max(1, 2 * processes))
    return np.where(usable, (np.abs(correlation) * 2 + (correlation < 0)) * processes + process, -1)


def _found(
    ordered: NDArray[np.int64], order: NDArray[np.int64], columns: Columns, processes: Mapping[int, int], span: int
) -> NDArray[np.int64]:
    import numpy as np

    wanted = _keys(columns["correlationId"], mapped(columns["globalPid"], processes), span)
    places = np.searchsorted(ordered, wanted)
    hit = places < len(ordered)
    hit[hit] = ordered[places[hit]] == wanted[hit]
    return np.where(hit, order[np.minimum(places, len(order) - 1)], NO_CALL) if len(order) else np.full(len(wanted), -1)


def _work(
    kind: WorkKind, columns: Columns, call: NDArray[np.int64], processes: Mapping[int, int], strings: _Strings
) -> Work:
    import numpy as np

    name, names = work_names(kind, columns, strings.values)
    start, end = columns["start"].astype(np.int64), columns["end"].astype(np.int64)
    rows = len(start)
    return Work(
        kind=kind,
        start=start,
        end=end,
        device=np.where(columns["deviceId"] == NULL, -1, columns["deviceId"]),  # -1: no device is known by that number
        process=mapped(columns["globalPid"], processes).astype(np.int32),
        name=name.astype(np.int32),
        names=names,
        call=call.astype(np.int32),
        in_graph=columns["graphNodeId"] != NULL if "graphNodeId" in columns else np.zeros(rows, dtype=bool),
    )
