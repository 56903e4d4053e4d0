"""Reading exports: nothing is changed, what is missing is named, what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute
from perfkit_nsight.nsys_tables import read_export

from perfkit_core.errors import DamagedFileError, MissingError

from .exports import Recording, tid_of


@pytest.fixture
def recording() -> Recording:
    made = Recording()
    made.range("step", 0, 100)
    made.launch(10, 30, 1)
    made.call(60, 61, 2)
    made.copy(65, 70, 2)
    made.call(70, 71, 3)
    made.set(75, 80, 3)
    return made


@pytest.fixture
def export(recording: Recording, tmp_path: Path) -> Path:
    return recording.write(tmp_path / "export.sqlite")


def refused(path: Path) -> DamagedFileError:
    with pytest.raises(DamagedFileError) as caught:
        read_export(path)
    assert caught.value.exit_code == 5
    assert path.name in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_file_stays_as_it_is_and_nothing_appears_beside_it(export: Path, mode: str) -> None:
    with sqlite3.connect(export) as database:
        database.execute(f"PRAGMA journal_mode={mode}")
    database.close()
    for leftover in (f"{export}-wal", f"{export}-shm"):
        Path(leftover).unlink(missing_ok=True)
    before, state = hashlib.sha256(export.read_bytes()).hexdigest(), export.stat()
    export.chmod(0o444)
    assert attribute(read_export(export)).totals.kernels == 1
    assert hashlib.sha256(export.read_bytes()).hexdigest() == before
    assert export.stat().st_mtime_ns == state.st_mtime_ns
    assert [one.name for one in export.parent.iterdir()] == [export.name]


def test_names_that_mean_something_in_a_uri_are_read_too(recording: Recording, tmp_path: Path) -> None:
    path = recording.write(tmp_path / "a?mode=rw#b%20c.sqlite")
    assert attribute(read_export(path)).totals.kernels == 1


@pytest.mark.parametrize("version", ["3.0.0", "3.7.2", "3.24.0", "3.25.0"])
def test_known_schemas_are_read(recording: Recording, tmp_path: Path, version: str) -> None:
    schema = "3.0.0" if version == "3.0.0" else "3.24.0"
    report = attribute(read_export(recording.write(tmp_path / "export.sqlite", schema=schema, version=version)))
    row = next(row for row in report.regions if row.process is None)
    assert (row.path, row.inclusive_ns, row.copies.inclusive_time, row.sets.inclusive_time) == ("step", 30, 5, 5)
    assert version in report.profiler
    absent = ["The export has no table CUPTI_ACTIVITY_KIND_GRAPH_TRACE: nothing of the kind is counted"]
    assert list(report.limits) == (absent if schema == "3.0.0" else [])


def test_a_newer_minor_schema_is_read_and_said_to_be_newer(recording: Recording, tmp_path: Path) -> None:
    report = attribute(read_export(recording.write(tmp_path / "export.sqlite", version="3.31.2")))
    assert report.totals.kernels == 1
    assert any("3.31.2" in limit for limit in report.limits)


@pytest.mark.parametrize(("version", "fix"), [("2.9.1", "2022.4"), ("new", "again")])
def test_other_schemas_are_refused(recording: Recording, tmp_path: Path, version: str, fix: str) -> None:
    error = refused(recording.write(tmp_path / "export.sqlite", version=version))
    assert version in error.message
    assert fix in error.fix


def test_an_export_of_a_newer_schema_is_sound_and_needs_a_newer_reader(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(
        MissingError, match=r"export\.sqlite has the export schema 4\.0\.0; known are 3\.0 to 3"
    ) as caught:
        read_export(recording.write(tmp_path / "export.sqlite", version="4.0.0"))
    assert caught.value.exit_code == 3
    assert caught.value.fix.startswith("update perfkit-nsight")


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cannot be opened"):
        read_export(tmp_path / "none.sqlite")
    with pytest.raises(MissingError, match="cannot be opened"):
        read_export(tmp_path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", b"PK\x03\x04 a report, not its export" * 20])
def test_what_is_no_sqlite_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.nsys-rep"
    path.write_bytes(content)
    assert "no SQLite file" in refused(path).message


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER)")
    database.close()
    assert "no export of nsys" in refused(path).message


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_that_was_cut_off_is_refused(export: Path, kept: float) -> None:
    content = export.read_bytes()
    export.write_bytes(content[: int(len(content) * kept)])
    assert "cut off" in refused(export).message


def test_pages_of_rubbish_are_refused(export: Path) -> None:
    content = bytearray(export.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    export.write_bytes(content)
    refused(export)


def test_rubbish_in_a_table_is_refused_by_its_name(export: Path) -> None:
    with sqlite3.connect(export) as database:
        database.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = 'soon'")
    database.close()
    assert "CUPTI_ACTIVITY_KIND_KERNEL" in refused(export).message


def test_an_export_in_the_making_is_refused(export: Path) -> None:
    export.with_name(f"{export.name}-journal").write_bytes(b"x" * 512)
    assert "being written" in refused(export).message


def test_a_table_without_times_is_refused(export: Path) -> None:
    with sqlite3.connect(export) as database:
        database.execute("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN start")
    database.close()
    assert "no column start" in refused(export).message


def test_absent_tables_are_named_and_what_follows_from_it(recording: Recording, tmp_path: Path) -> None:
    dropped = ("CUPTI_ACTIVITY_KIND_RUNTIME", "CUPTI_ACTIVITY_KIND_MEMSET")
    report = attribute(read_export(recording.write(tmp_path / "export.sqlite", drop=dropped)))
    for table in dropped:
        assert any(table in limit for limit in report.limits)
    assert report.totals.unattributed == {"no launch row": 30}
    assert (report.totals.sets.count, report.totals.copies.outside_time) == (0, 5)


def changed(export: Path, *statements: str) -> Path:
    with sqlite3.connect(export) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return export


@pytest.mark.parametrize("how", ["DROP TABLE StringIds", "ALTER TABLE StringIds RENAME COLUMN value TO text"])
def test_without_names_nothing_is_merged_under_one(export: Path, how: str) -> None:
    assert "StringIds" in refused(changed(export, how)).message


BLOBS = {
    "NVTX_EVENTS": ("text", "UPDATE NVTX_EVENTS SET text = x'00ff41' WHERE text {} 'step'"),
    "StringIds": ("value", "UPDATE StringIds SET value = x'00ff41' WHERE value {} 'add'"),
}


@pytest.mark.parametrize("table", BLOBS)
@pytest.mark.parametrize("others", [True, False])
def test_bytes_in_place_of_a_name_are_refused_by_table_and_column(export: Path, table: str, others: bool) -> None:
    column, statement = BLOBS[table]
    if others:
        changed(export, "INSERT INTO NVTX_EVENTS (start, end, eventType, text) VALUES (0, 1, 34, 'a mark')")
    error = refused(changed(export, statement.format("=" if others else ">= '' OR ''=")))
    assert table in error.message
    assert column in error.message


def test_numbers_in_place_of_names_are_refused(export: Path) -> None:
    changed(export, "ALTER TABLE NVTX_EVENTS DROP COLUMN text", "ALTER TABLE NVTX_EVENTS ADD COLUMN text INTEGER")
    assert "column text" in refused(changed(export, "UPDATE NVTX_EVENTS SET text = 7")).message


def test_names_that_are_no_utf8_are_shown_as_far_as_they_can_be(export: Path) -> None:
    changed(
        export,
        "UPDATE NVTX_EVENTS SET text = CAST(x'61ff62' AS TEXT)",
        "UPDATE StringIds SET value = CAST(x'6dff6d' AS TEXT)",
    )
    report = attribute(read_export(export))
    assert {row.path for row in report.regions} == {"a\N{REPLACEMENT CHARACTER}b"}
    assert [row.name for row in report.kernels if row.kind == "kernel"] == ["m\N{REPLACEMENT CHARACTER}m"]
    (limit,) = [limit for limit in report.limits if "no UTF-8" in limit]
    assert limit.startswith("3 names")  # the range's, the kernel's long one and its short one


TIMES = {
    "ends before it starts": "start = 20, end = 10",
    "negative": f"start = {-(1 << 62)}",
    "beyond": f"end = {(1 << 62) + 1}",
}


@pytest.mark.parametrize("table", ["NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME"])
@pytest.mark.parametrize("case", TIMES)
def test_times_that_cannot_be_are_refused_by_their_table(export: Path, table: str, case: str) -> None:
    error = refused(changed(export, f"UPDATE {table} SET {TIMES[case]}"))
    assert table in error.message
    assert case in error.message


def test_what_began_before_the_recording_is_read(recording: Recording, tmp_path: Path) -> None:
    recording.add("NVTX_EVENTS", start=-9, eventType=75, text="early", globalTid=tid_of(1, 1), domainId=4)
    recording.range("before", -7, 200, domain=4)
    report = attribute(read_export(recording.write(tmp_path / "export.sqlite")))
    assert [row.inclusive_ns for row in report.regions if (row.domain, row.path) == ("early", "before")] == [30, 30]


def test_work_before_the_recording_is_refused(export: Path) -> None:
    refused(changed(export, "UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = -1"))


def test_times_that_do_not_add_up_are_refused(recording: Recording, tmp_path: Path) -> None:
    for number in range(4, 8):
        recording.launch(number, 1 << 61, number)
    error = refused(recording.write(tmp_path / "export.sqlite"))
    assert "add up" in error.message


def test_open_ranges_end_with_the_last_event(recording: Recording, tmp_path: Path) -> None:
    recording.range("open", 5, None)
    report = attribute(read_export(recording.write(tmp_path / "export.sqlite")))
    assert any("never closed" in limit for limit in report.limits)


def test_absent_columns_are_named(export: Path) -> None:
    with sqlite3.connect(export) as database:
        database.execute("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN shortName")
        database.execute("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN gridY")
    database.close()
    report = attribute(read_export(export))
    assert "Table CUPTI_ACTIVITY_KIND_KERNEL has no column shortName, gridY: its values are unknown" in report.limits
    kernel = next(row for row in report.kernels if row.kind == "kernel")
    assert (kernel.short_name, kernel.grid, kernel.block) == ("", "", "256,1,1")


@pytest.mark.parametrize("drop", [(), ("NVTX_EVENTS",), ("CUPTI_ACTIVITY_KIND_KERNEL", "NVTX_EVENTS")])
def test_an_export_of_nothing_has_empty_tables(tmp_path: Path, drop: tuple[str, ...]) -> None:
    report = attribute(read_export(Recording().write(tmp_path / "export.sqlite", drop=drop)))
    assert (report.regions, report.kernels, report.totals.total_ns, report.totals.unattributed) == ((), (), 0, {})
