"""A large nsys export as SQLite, schema 3.24: what a long run of a deep model in two processes would leave.

Each of 2 processes x 2 threads opens ranges five deep (run, step, block, part, operator) and launches kernels in the
innermost ones, one call each; every launch returns before its kernel starts. Everything follows from the sizes.

    python benchmarks/nsys_export.py FILE [kernels]
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

PROCESSES, THREADS = (4001, 4002), (0, 9)
KERNELS = 1_000_000
STEPS, BLOCKS, PARTS, OPERATORS = 144, 40, ("attention", "feed_forward"), ("norm", "project", "core", "out")
KERNEL_NAMES, GEOMETRIES = 60, 24
VM, PUSH_POP, DOMAIN = 1 << 56, 59, 75
NAMES = {"cudaLaunchKernel_v7000": 1, "cudaStreamSynchronize_v3020": 2}
FIRST_NAME, FIRST_RANGE = 100, 1000

Row = tuple[object, ...]


def main() -> None:
    """Write the export that the arguments name."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    path = Path(sys.argv[1])
    write(path, kernels=int(sys.argv[2]) if len(sys.argv) > 2 else KERNELS)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        for table in ("CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME", "NVTX_EVENTS"):
            print(table, database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def write(path: Path, *, kernels: int = KERNELS) -> None:
    """Write an export with this many kernels; ranges stay about a quarter of them."""
    path.unlink(missing_ok=True)
    schema = Path(__file__).parent.parent / "tests" / "nsight" / "data" / "schema-3.24.sql"
    database = sqlite3.connect(path)
    database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {schema.read_text()}")
    database.executemany("INSERT INTO META_DATA_EXPORT VALUES (?, ?)", _META)
    database.executemany("INSERT INTO StringIds VALUES (?, ?)", _strings())
    steps = max(1, round(STEPS * kernels / KERNELS))
    for process in PROCESSES:
        pid = VM | process << 24
        database.executemany(*_inserting("NVTX_EVENTS", _DOMAIN, [(0, DOMAIN, "model", pid | process, 1)]))
        for offset in THREADS:
            thread = _Thread(pid, process + offset, steps, kernels // len(PROCESSES) // len(THREADS))
            for table, columns, rows in thread.tables():
                database.executemany(*_inserting(table, columns, rows))
    database.commit()
    database.close()


_META = (
    ("EXPORT_SCHEMA_VERSION", "3.24.0"),
    ("EXPORT_SCHEMA_VERSION_MAJOR", "3"),
    ("EXPORT_SCHEMA_VERSION_MINOR", "24"),
    ("EXPORT_PRODUCT_VERSION", "2025.5.2.266"),
)
_DOMAIN = ("start", "eventType", "text", "globalTid", "domainId")
_RANGE = ("start", "end", "eventType", "text", "textId", "globalTid", "domainId")
_CALL = ("start", "end", "eventClass", "globalTid", "correlationId", "nameId", "returnValue")
_KERNEL = (
    *("start", "end", "deviceId", "contextId", "streamId", "correlationId", "globalPid"),
    *("demangledName", "shortName", "mangledName", "launchType", "registersPerThread"),
    *("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ"),
    *("staticSharedMemory", "dynamicSharedMemory", "localMemoryPerThread", "localMemoryTotal", "gridId"),
)


def _strings() -> Iterator[tuple[int, str]]:
    yield from ((number, name) for name, number in NAMES.items())
    for number in range(KERNEL_NAMES):
        base = f"kernel_{number:02d}"
        long = f"void {base}<c10::BFloat16, {number % 8}, 128, (bool)1>(Params<c10::BFloat16>, int, float const*)"
        yield FIRST_NAME + 2 * number, long
        yield FIRST_NAME + 2 * number + 1, base
    for number in range(STEPS + BLOCKS + len(PARTS) + 1):
        yield FIRST_RANGE + number, _range_name(number)


def _range_name(number: int) -> str:
    if number == 0:
        return "run"
    if number <= BLOCKS:
        return f"blocks.{number - 1}"
    return PARTS[number - BLOCKS - 1] if number <= BLOCKS + len(PARTS) else f"step {number}"


def _inserting(table: str, columns: tuple[str, ...], rows: list[Row]) -> tuple[str, list[Row]]:
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({places})", rows


class _Thread:
    """One thread's ranges, calls and kernels, in the order of their starts as nsys writes them."""

    def __init__(self, pid: int, tid: int, steps: int, kernels: int) -> None:
        self._pid, self._tid, self._steps = pid, pid | tid, steps
        self._now, self._gpu, self._launched = 1_000_000 + tid % 7 * 37, 0, 0
        self._leaves, self._kernels, self._leaf = steps * BLOCKS * len(PARTS) * len(OPERATORS), kernels, 0
        self._ranges: list[list[object]] = []
        self._calls: list[Row] = []
        self._work: list[Row] = []
        self._correlation = tid % 2 * 10_000_000

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], list[Row]]]:
        """Yield table, columns and rows."""
        self._run()
        yield "NVTX_EVENTS", _RANGE, [tuple(row) for row in self._ranges]
        yield "CUPTI_ACTIVITY_KIND_RUNTIME", _CALL, self._calls
        yield "CUPTI_ACTIVITY_KIND_KERNEL", _KERNEL, self._work

    def _run(self) -> None:
        run = self._open(None, FIRST_RANGE)
        for _ in range(self._steps):
            step = self._open("step", None)
            for number in range(BLOCKS):
                block = self._open(None, FIRST_RANGE + 1 + number)
                for part in range(len(PARTS)):
                    inner = self._open(None, FIRST_RANGE + 1 + BLOCKS + part)
                    for operator in OPERATORS:
                        self._operator(operator)
                    self._close(inner)
                self._close(block)
            self._call(2, 9_000)
            self._close(step)
        self._close(run)

    def _operator(self, name: str) -> None:
        opened = self._open(name, None)
        self._leaf += 1
        while self._launched * self._leaves < self._leaf * self._kernels:
            self._launch()
        self._close(opened)

    def _launch(self) -> None:
        number = self._launched
        self._call(1, 3_100 + number * 7 % 900)
        # The same operator launches the same kernels every time; 5 or 6 of them, as the sizes have it.
        same = self._leaf % (len(PARTS) * len(OPERATORS)) * 6 + self._launched * self._leaves // self._kernels % 6
        name, shape = same * 11 % KERNEL_NAMES, same * 5 % GEOMETRIES
        start = max(self._gpu, self._now + 1_500)
        self._gpu = start + 1_200 + number * 131 % 21_000
        ids = (FIRST_NAME + 2 * name, FIRST_NAME + 2 * name + 1, FIRST_NAME + 2 * name, 1, 64)
        geometry = (1 + shape * 16, 1 + shape % 3, 1, 128 << shape % 3, 1, 1)
        device = 0 if self._pid == VM | PROCESSES[0] << 24 else 1
        place = (device, 1, 7, self._correlation, self._pid)
        self._work.append((start, self._gpu, *place, *ids, *geometry, 0, 16_384, 0, 0, number + 1))
        self._launched += 1

    def _call(self, name: int, duration: int) -> None:
        self._correlation += 1
        self._now += 400
        end = self._now + duration
        self._calls.append((self._now, end, 0, self._tid, self._correlation, name, 0))
        self._now = end + 250

    def _open(self, text: str | None, text_id: int | None) -> list[object]:
        self._now += 110
        row: list[object] = [self._now, None, PUSH_POP, text, text_id, self._tid, 1]
        self._ranges.append(row)
        self._now += 60
        return row

    def _close(self, row: list[object]) -> None:
        self._now += 70
        row[1] = self._now
        self._now += 40


if __name__ == "__main__":
    main()
