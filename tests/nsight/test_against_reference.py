"""Attribution against a plain implementation of the same rule, on captures that hypothesis makes up."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_nsight.attribution import attribute, range_sums
from perfkit_nsight.nsys_tables import read_export

from perfkit_core.schema.regions import RegionsReport

from .exports import Recording
from .reference import Reference

TIMES = st.integers(min_value=0, max_value=60)
NAMES = st.sampled_from(["a", "b", "c"])
PROCESSES, THREADS, DEVICES = st.integers(1, 2), st.integers(1, 2), st.integers(0, 1)
DOMAINS = st.sampled_from([0, 1])
TABLES = {"kernel": "KERNEL", "copies": "MEMCPY", "sets": "MEMSET", "graphs": "GRAPH_TRACE"}


@st.composite
def loose_ranges(draw: st.DrawFn, recording: Recording) -> None:
    """Ranges of any shape: nested, overlapping, touching, of no length, never closed, ended elsewhere."""
    for _ in range(draw(st.integers(0, 8))):
        start, length = draw(TIMES), draw(st.one_of(st.none(), st.integers(0, 30)))
        recording.range(
            draw(NAMES),
            start,
            None if length is None else start + length,
            process=draw(PROCESSES),
            thread=draw(THREADS),
            domain=draw(DOMAINS),
            kind=draw(st.sampled_from([59, 59, 59, 59, 60, 34])),
            ends_on=draw(st.sampled_from([None, None, None, 2])),
            registered=draw(st.booleans()),
        )


@st.composite
def nested_ranges(draw: st.DrawFn, recording: Recording) -> None:
    """Properly nested ranges, several deep, siblings touching now and then."""
    for process, thread, domain in ((1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 1)):
        spans = [(0, 64)]
        for _ in range(draw(st.integers(0, 6))):
            start, end = spans.pop(draw(st.integers(0, len(spans) - 1)))
            if end - start < 4:
                continue
            recording.range(draw(NAMES), start, end, process=process, thread=thread, domain=domain)
            middle = draw(st.integers(start + 2, end - 2))
            spans += [(start + 1, middle), (middle, end - draw(st.integers(0, 1)))]
            if spans[-1][1] <= middle + 1:
                spans.pop()
        if not spans:
            continue


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    recording = Recording()
    for process in (1, 2):
        recording.domain(1, "model", process=process)
    draw(draw(st.sampled_from([loose_ranges, nested_ranges]))(recording))
    for correlation in range(1, 1 + draw(st.integers(0, 12))):
        start, process = draw(TIMES), draw(PROCESSES)
        recording.call(start, start + draw(st.integers(0, 6)), correlation, process=process, thread=draw(THREADS))
        for _ in range(draw(st.sampled_from([1, 1, 1, 0, 3]))):
            begins = start + draw(st.integers(0, 40))
            ends, device = begins + draw(st.integers(0, 20)), draw(DEVICES)
            kind = draw(st.sampled_from(["kernel", "kernel", "kernel", "copy", "set", "graph"]))
            own = {"name": draw(st.sampled_from(["k(int)", "m(int)"]))} if kind == "kernel" else {}
            number = draw(st.sampled_from([correlation] * 6 + [99]))
            getattr(recording, kind)(begins, ends, number, process=process, device=device, **own)
    return recording


@contextmanager
def exported(recording: Recording) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield recording.write(Path(folder) / "export.sqlite")


@settings(max_examples=60, deadline=None)
@given(recordings())
def test_kernels_by_stack_thread_and_name_are_those_of_the_rule(recording: Recording) -> None:
    with exported(recording) as path:
        found = {
            (one.domain, one.stack, one.thread, one.process, one.kernel): (one.kernels, one.total_ns)
            for one in range_sums(read_export(path))
        }
        expected = Reference(path).sums()
    merged: Counter = Counter()
    for (domain, stack, thread, _, kernel), values in found.items():
        merged[domain, stack, thread, kernel, "kernels"] += values[0]
        merged[domain, stack, thread, kernel, "ns"] += values[1]
    wanted: Counter = Counter()
    for key, (kernels, spent) in expected.items():
        wanted[*key, "kernels"] += kernels
        wanted[*key, "ns"] += spent
    assert {key: value for key, value in merged.items() if value} == {k: v for k, v in wanted.items() if v}


@settings(max_examples=60, deadline=None)
@given(recordings())
def test_every_figure_of_every_row_is_that_of_the_rule(recording: Recording) -> None:
    with exported(recording) as path:
        report, reference = attribute(read_export(path)), Reference(path)
        expected = {name: reference.regions(table) for name, table in TABLES.items()}
        idle = reference.idle()
    rows = {(row.domain, row.path, row.process, row.device): row for row in report.regions if row.device is not None}
    assert set(rows) == {key for kind in expected.values() for key in kind}
    for key, row in rows.items():
        kernels = expected["kernel"].get(key, Counter())
        assert row.inclusive_ns == kernels["inclusive_time"]
        assert row.exclusive_ns == kernels["exclusive_time"]
        assert (row.inclusive_kernels, row.exclusive_kernels) == (kernels["inclusive"], kernels["exclusive"])
        assert (row.busy_ns, row.span_ns) == (kernels["busy"], kernels["span"])
        assert row.idle_time == idle[key]
        for name in ("copies", "sets", "graphs"):
            values = expected[name].get(key, Counter())
            figures = ("inclusive", "exclusive", "inclusive_time", "exclusive_time")
            assert getattr(row, name).as_dict() == {figure: values[figure] for figure in figures}


@settings(max_examples=60, deadline=None)
@given(recordings(), st.randoms(use_true_random=False))
def test_sums_close_parents_hold_their_children_and_the_order_of_rows_is_of_no_matter(
    recording: Recording, shuffle: random.Random
) -> None:
    with exported(recording) as path:
        report = attribute(read_export(path))
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check_invariants(report)
    for table, rows in recording.rows.items():
        if table != "NVTX_EVENTS":  # ranges that begin and end together nest as they stand in the file
            shuffle.shuffle(rows)
    with exported(recording) as path:
        assert attribute(read_export(path)) == report


def check_invariants(report: RegionsReport) -> None:
    """What holds of every report."""
    totals = report.totals
    aggregates = [row for row in report.regions if row.process is None]
    assert totals.outside_ns == sum(totals.unattributed.values())
    assert sum(row.total_ns for row in report.kernels if row.kind == "kernel") == totals.total_ns
    for domain, outside in totals.outside_by_domain.items():
        assert sum(row.exclusive_ns for row in aggregates if row.domain == domain) + outside == totals.total_ns
    by_path = {(row.domain, row.path): row for row in aggregates}
    inside: Counter = Counter()
    for (domain, path), row in by_path.items():
        over = (domain, path.rpartition("/")[0])
        inside[over] += row.inclusive_ns
        if over[1]:
            assert by_path[over].inclusive_ns >= row.inclusive_ns
            assert by_path[over].busy_ns >= row.busy_ns
    for key, row in by_path.items():
        assert row.inclusive_ns == row.exclusive_ns + inside[key]
        assert row.busy_ns <= row.inclusive_ns
        single = [one for one in report.regions if (one.domain, one.path) == key and one.process is not None]
        for name in ("inclusive_ns", "exclusive_ns", "busy_ns", "idle_time", "inclusive_launches"):
            assert sum(getattr(one, name) for one in single) == getattr(row, name)
