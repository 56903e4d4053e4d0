"""Against nsys itself: its reports on the same exports, and the tables of an export that it makes here."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute, range_sums
from perfkit_nsight.nsys_tables import read_export

from .exports import Recording
from .nsys_reports import NSYS, as_nsys_adds, kernels_by_range

pytestmark = pytest.mark.skipif(NSYS is None, reason="nsys is not installed")


def busy_recording(seed: int) -> Recording:
    """Threads of nested, overlapping, open and handed-over ranges, names with commas and slashes, graphs, copies."""
    chance = random.Random(seed)
    recording = Recording()
    for process in (101, 102):
        recording.domain(1, "model", process=process)
        recording.domain(2, "model, again", process=process)
        for thread in (process, 7):
            _ranges(recording, chance, process, thread)
    for correlation in range(1, 600):
        process, at = chance.choice((101, 102)), chance.randrange(10_000)
        recording.call(at, at + chance.randrange(60), correlation, process=process, thread=chance.choice((process, 7)))
        for node in range(chance.choice((1, 1, 1, 0, 4))):
            begins = at + chance.randrange(500)
            recording.kernel(
                begins,
                begins + chance.randrange(1, 4000),
                chance.choice((correlation, correlation, correlation, correlation, None, 9999)),
                name=f"void {chance.choice('klm')}<int, 4>(int*, int)",
                process=process,
                device=chance.randrange(2),
                node=node or None,
            )
    return recording


def _ranges(recording: Recording, chance: random.Random, process: int, thread: int) -> None:
    place = {"process": process, "thread": thread}
    for _ in range(60):
        at = chance.randrange(9000)
        recording.range(
            chance.choice(("a", "b, c", "aten::mm, op_id = 3", "x/y", "q:q", "a")),
            at,
            chance.choice((at + chance.randrange(1, 3000), at + chance.randrange(1, 300), None)),
            domain=chance.choice((0, 1, 2, None)),
            kind=chance.choice((59, 59, 59, 60, 34)),
            ends_on=chance.choice((None, None, None, 9)),
            registered=chance.random() < 0.5,
            **place,
        )
    for depth in range(20):
        recording.range("deep", 20 * depth, 9900 - 10 * depth, domain=1, **place)


@pytest.mark.parametrize("schema", ["3.0.0", "3.24.0"])
@pytest.mark.parametrize("seed", [1, 2])
def test_sums_by_range_thread_and_kernel_are_those_of_nsys(tmp_path: Path, schema: str, seed: int) -> None:
    export = busy_recording(seed).write(tmp_path / "export.sqlite", schema=schema)
    expected = kernels_by_range(export, tmp_path)
    assert len(expected) > 50
    assert as_nsys_adds(range_sums(read_export(export))) == expected


def test_an_export_that_nsys_makes_here_is_read(tmp_path: Path) -> None:
    report, export = tmp_path / "empty", tmp_path / "empty.sqlite"
    profile = [str(NSYS), "profile", "--trace=nvtx", "--sample=none", "--cpuctxsw=none", "-o", str(report), "true"]
    subprocess.run(profile, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    command = [str(NSYS), "export", "--type", "sqlite", "--lazy=false", "-o", str(export), f"{report}.nsys-rep"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    found = attribute(read_export(export))
    assert (found.totals.kernels, found.regions) == (0, ())
    assert all("GRAPH_TRACE" in limit for limit in found.limits)
    kept = busy_recording(3)
    with sqlite3.connect(export) as database:
        for text, number in kept.strings.items():
            database.execute("INSERT INTO StringIds VALUES (?, ?)", (10**6 + number, text))
        for table, rows in kept.rows.items():
            for row in rows:
                values = {name: _renumbered(name, value) for name, value in row.items()}
                places = ", ".join("?" * len(row))
                database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(values.values()))
    database.close()
    sums = range_sums(read_export(export))
    assert as_nsys_adds(sums) == kernels_by_range(export, tmp_path)
    assert sums == range_sums(read_export(kept.write(tmp_path / "same.sqlite")))


def _renumbered(column: str, value: object) -> object:
    names = column.endswith("Name") or column in {"nameId", "textId"}
    return value + 10**6 if names and isinstance(value, int) else value
