"""Small nsys exports made row by row, in the tables of real ones."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data"
VM = 1 << 56
META = {"3.0.0": "EXPORT_META_DATA", "3.24.0": "META_DATA_EXPORT"}


def pid_of(process: int) -> int:
    """Return a process's global number."""
    return VM | process << 24


def tid_of(process: int, thread: int) -> int:
    """Return a thread's global number."""
    return pid_of(process) | thread


@dataclass
class Recording:
    """What an export is to hold.

    Attributes:
        rows: Rows by table, columns by name.
        strings: Texts by their numbers.
    """

    rows: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    strings: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, **columns: object) -> None:
        self.rows.setdefault(table, []).append(columns)

    def string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings) + 1)

    def domain(self, number: int, name: str, *, process: int = 1) -> None:
        self.add("NVTX_EVENTS", start=0, eventType=75, text=name, globalTid=tid_of(process, process), domainId=number)

    def range(
        self,
        name: str,
        start: int,
        end: int | None,
        *,
        process: int = 1,
        thread: int = 1,
        domain: int | None = 0,
        kind: int = 59,
        ends_on: int | None = None,
        registered: bool = False,
    ) -> None:
        self.add(
            "NVTX_EVENTS",
            start=start,
            end=end,
            eventType=kind,
            text=None if registered else name,
            textId=self.string(name) if registered else None,
            globalTid=tid_of(process, thread),
            endGlobalTid=None if ends_on is None else tid_of(process, ends_on),
            domainId=domain,
        )

    def call(self, start: int, end: int, correlation: int, *, process: int = 1, thread: int = 1) -> None:
        self.add(
            "CUPTI_ACTIVITY_KIND_RUNTIME",
            start=start,
            end=end,
            eventClass=0,
            globalTid=tid_of(process, thread),
            correlationId=correlation,
            nameId=self.string("cudaLaunchKernel_v7000"),
            returnValue=0,
        )

    def kernel(
        self,
        start: int,
        end: int,
        correlation: int | None,
        *,
        name: str = "void add<float>(float*)",
        short: str = "add",
        process: int = 1,
        device: int = 0,
        grid: tuple[int, int, int] = (4, 1, 1),
        block: tuple[int, int, int] = (256, 1, 1),
        node: int | None = None,
    ) -> None:
        zeros = ("registersPerThread", "staticSharedMemory", "dynamicSharedMemory", "localMemoryPerThread")
        self._work(
            "CUPTI_ACTIVITY_KIND_KERNEL",
            (start, end, device, correlation, process),
            demangledName=self.string(name),
            shortName=self.string(short),
            **dict(zip(("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ"), (*grid, *block), strict=True)),
            **dict.fromkeys((*zeros, "localMemoryTotal", "gridId"), 0),
            graphNodeId=node,
        )

    def copy(self, start: int, end: int, correlation: int, *, process: int = 1, device: int = 0) -> None:
        place = (start, end, device, correlation, process)
        self._work("CUPTI_ACTIVITY_KIND_MEMCPY", place, bytes=64, copyKind=1)

    def set(self, start: int, end: int, correlation: int, *, process: int = 1, device: int = 0) -> None:
        place = (start, end, device, correlation, process)
        self._work("CUPTI_ACTIVITY_KIND_MEMSET", place, bytes=64, value=0)

    def graph(self, start: int, end: int, correlation: int, *, process: int = 1, device: int = 0) -> None:
        place = (start, end, device, correlation, process)
        self._work("CUPTI_ACTIVITY_KIND_GRAPH_TRACE", place, graphId=3, graphExecId=4)

    def launch(
        self, at: int, duration: int, correlation: int, *, process: int = 1, thread: int = 1, **kernel: object
    ) -> None:
        """Add a call of 2 ns and its kernel, 10 ns after it."""
        self.call(at, at + 2, correlation, process=process, thread=thread)
        self.kernel(at + 12, at + 12 + duration, correlation, process=process, **kernel)  # type: ignore[arg-type]

    def write(
        self, path: Path, *, schema: str = "3.24.0", version: str | None = None, drop: tuple[str, ...] = ()
    ) -> Path:
        """Write the export: the tables of ``schema`` less ``drop``; it says that it has ``version``."""
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute("PRAGMA synchronous = OFF")
        database.executescript((DATA / f"schema-{schema.rpartition('.')[0]}.sql").read_text())
        told = {"EXPORT_SCHEMA_VERSION": version or schema, "EXPORT_PRODUCT_VERSION": "2025.5.2.266"}
        database.executemany(f"INSERT INTO {META[schema]} VALUES (?, ?)", told.items())
        database.executemany("INSERT INTO StringIds VALUES (?, ?)", [(n, text) for text, n in self.strings.items()])
        for table, rows in self.rows.items():
            for row in rows:
                places = ", ".join("?" * len(row))
                database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))
        for table in drop:
            database.execute(f"DROP TABLE {table}")
        database.commit()
        database.close()
        return path

    def _work(self, table: str, place: tuple[int, int, int, int | None, int], **own: object) -> None:
        start, end, device, correlation, process = place
        pid = pid_of(process)
        common = {"deviceId": device, "contextId": 1, "streamId": 7, "correlationId": correlation, "globalPid": pid}
        self.add(table, start=start, end=end, **common, **own)
