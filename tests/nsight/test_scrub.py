"""Scrubbed copies: nothing private is left in their bytes, and every number is."""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute
from perfkit_nsight.csv_scrub import scrub_ncu, scrub_stats
from perfkit_nsight.ncu_scrub import scrub as scrub_report
from perfkit_nsight.nsys_scrub import scrub
from perfkit_nsight.nsys_tables import read_export

from perfkit_core.errors import DamagedFileError, MissingError

from .exports import Recording
from .test_ncu_csv import DETAILS, RAW
from .test_nsys_stats import KERNELS, RANGES

TOKEN = "tok3n"
TEXTUAL = {"TEXT", "BLOB", ""}
KEPT = {("NVTX_EVENTS", "text"), ("TARGET_INFO_GPU", "name"), ("TARGET_INFO_GPU", "chipName"),
        ("TARGET_INFO_GPU_METRICS", "metricName")}  # fmt: skip


PRIVATE = {
    "TARGET_INFO_SYSTEM_ENV": "globalVid INTEGER, devStateName TEXT NOT NULL, name TEXT NOT NULL, value TEXT",
    "META_DATA_CAPTURE": "name TEXT NOT NULL, value TEXT",
    "PROCESSES": "globalPid INTEGER, pid INTEGER, name TEXT",
    "ThreadNames": "nameId INTEGER NOT NULL, priority INTEGER, globalTid INTEGER",
    "ANALYSIS_FILE": "id INTEGER PRIMARY KEY, filename TEXT NOT NULL, content BLOB, globalPid INTEGER",
    "OSRT_FILE_ACCESS_DESCRIPTORS": "fileAccessId INTEGER, filePath TEXT, processId INTEGER",
    "DIAGNOSTIC_EVENT": "timestamp INTEGER, timestampType INTEGER, source INTEGER, severity INTEGER, text TEXT",
    "TARGET_INFO_GPU": "vmId INTEGER, id INTEGER, name TEXT, busLocation TEXT, uuid TEXT, chipName TEXT",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER, utcTime TEXT, localTime TEXT",
    "GENERIC_EVENT_TYPES": "typeId INTEGER, hypervisorExtraMetadata TEXT, data TEXT",
    "TABLE_OF_ANOTHER_VERSION": "start INTEGER, host TEXT, anything",
}
"""Tables of real exports that hold what must not be shared, and one that is not known."""


def recorded(path: Path, schema: str) -> Path:
    made = Recording()
    made.domain(1, "perfkit")
    made.range("step", 100, 900, domain=1)
    made.range("registered", 150, 800, registered=True)
    made.launch(200, 50, 1)
    made.launch(400, 70, 2, short="sub", name="void sub<float>(float*)")
    made.string("/home/ada/secret-of-no-table")
    made.write(path, schema=schema)
    database = sqlite3.connect(path)
    for table, columns in PRIVATE.items():
        database.execute(f"DROP TABLE IF EXISTS {table}")
        database.execute(f"CREATE TABLE {table} ({columns})")
    database.execute("INSERT INTO TARGET_INFO_GPU (id, name, chipName) VALUES (0, 'NVIDIA H200', 'GH100')")
    database.commit()
    database.close()
    return path


def planted(path: Path) -> int:
    """Put a token into every text column of every table, in a row of its own where that has no names."""
    database = sqlite3.connect(path)
    count = 0
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = database.execute(f'PRAGMA table_info("{table}")').fetchall()
        texts = [name for _, name, kind, *_ in columns if kind in TEXTUAL and (table, name) not in KEPT]
        if not texts or table.startswith("ENUM_"):
            continue
        values = {name: 10_000 + place if key else 1 for place, name, kind, _, _, key in columns if kind not in TEXTUAL}
        values |= {name: f"{TOKEN}-{table}-{name}" for name in texts}
        if table == "StringIds":
            values["id"] = 10_000
        if table == "NVTX_EVENTS":  # a mark, so that no range is added
            values |= {"eventType": 34, "textId": None, "end": None}
        marks = ", ".join("?" * len(values))
        names = ", ".join(f'"{name}"' for name in values)
        database.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(values.values()))
        count += len(texts)
    database.commit()
    # What was deleted stays in freed pages of a database.
    database.execute("CREATE TABLE gone (value TEXT)")
    database.executemany("INSERT INTO gone VALUES (?)", [(f"{TOKEN}-deleted" * 50,)] * 50)
    database.commit()
    database.execute("DROP TABLE gone")
    database.commit()
    database.close()
    return count


def numbers(path: Path) -> dict[str, list[tuple[object, ...]]]:
    database = sqlite3.connect(path)
    found = {}
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [
            name for _, name, kind, *_ in database.execute(f'PRAGMA table_info("{table}")') if kind not in TEXTUAL
        ]
        if columns and table not in {"META_DATA_EXPORT", "EXPORT_META_DATA"}:
            chosen = ", ".join(f'"{name}"' for name in columns)
            found[table] = database.execute(f'SELECT {chosen} FROM "{table}" ORDER BY rowid').fetchall()
    database.close()
    return found


@pytest.mark.parametrize("schema", ["3.0.0", "3.24.0"])
def test_no_planted_text_is_left_and_the_attribution_is_the_same(tmp_path, schema):
    source = recorded(tmp_path / "a.sqlite", schema)
    assert planted(source) >= 20
    assert TOKEN.encode() in source.read_bytes()
    before = source.read_bytes()
    target = tmp_path / "b.sqlite"
    scrub(source, target)
    assert source.read_bytes() == before
    content = target.read_bytes()
    assert TOKEN.encode() not in content
    assert b"secret-of-no-table" not in content
    assert b"void sub<float>" in content
    assert b"NVIDIA H200" in content
    assert attribute(read_export(target)).model_dump_json() == attribute(read_export(source)).model_dump_json()
    assert numbers(target) == numbers(source)


def test_names_that_look_like_paths_are_pointed_out(tmp_path):
    made = Recording()
    made.range("load /home/ada/weights.bin", 100, 900)
    made.launch(200, 50, 1)
    done = scrub(made.write(tmp_path / "a.sqlite"), tmp_path / "b.sqlite")
    assert any("look like paths" in line and "/home/ada/weights.bin" in line for line in done)


def test_text_in_a_column_of_numbers_goes_too(tmp_path):
    source = recorded(tmp_path / "a.sqlite", "3.24.0")
    database = sqlite3.connect(source)
    database.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET gridId = ?", (TOKEN,))
    database.commit()
    database.close()
    scrub(source, tmp_path / "b.sqlite")
    assert TOKEN.encode() not in (tmp_path / "b.sqlite").read_bytes()


def test_what_only_the_tools_can_write_is_refused_with_the_way_out(tmp_path):
    report = tmp_path / "a.nsys-rep"
    report.write_bytes(b"NVIDIA Tegra Profiler Report 1.\n")
    with pytest.raises(MissingError, match="only nsys writes its format"):
        scrub(report, tmp_path / "b")


REPORTS = sorted(Path(__file__).parent.glob("data/h200-ncu/*.ncu-rep"))
LEFT_OUT = re.compile(rb"192\.0\.2\.2|fe80:|/opt/|/usr/|/example|--nvtx|[^x]vm0")


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_a_report_of_ncu_loses_machine_command_line_and_paths_and_keeps_its_results(report, tmp_path):
    from perfkit_nsight.ncu_rep import read_counters

    copy = tmp_path / "copy.ncu-rep"
    assert LEFT_OUT.search(report.read_bytes())
    done = scrub_report(report, copy)
    assert any("machine and command line" in line for line in done)
    assert LEFT_OUT.findall(copy.read_bytes()) == []
    assert len(copy.read_bytes()) == len(report.read_bytes())
    before, after = read_counters(report), read_counters(copy)
    assert (before.metrics, before.results, before.rules) == (after.metrics, after.results, after.rules)


@pytest.mark.parametrize("inside", [b"/a/", b"/a/b"])
def test_a_number_whose_bytes_look_like_a_path_is_no_path(inside, tmp_path):
    from perfkit_nsight.ncu_rep import read_counters

    report = tmp_path / "a.ncu-rep"
    data = REPORTS[0].read_bytes()
    values = {value for column in read_counters(REPORTS[0]).metrics for value in column["values"]}
    places = [data.find(struct.pack("<d", value)) for value in values if isinstance(value, float) and value > 1]
    number = (b"\x01" + inside).ljust(7, b"\x01") + b"@"
    place = max(places)
    report.write_bytes(data[:place] + number + data[place + 8 :])
    before = read_counters(report)
    assert before.metrics != read_counters(REPORTS[0]).metrics
    scrub_report(report, tmp_path / "b.ncu-rep")
    assert read_counters(tmp_path / "b.ncu-rep").metrics == before.metrics


def test_the_length_before_a_text_is_no_part_of_a_path(tmp_path):
    """A text of 47 letters comes after the byte 47, which is a slash too; names of metrics of caches have one more."""
    from perfkit_nsight.ncu_rep import read_counters

    name = b"device__attribute_max_access_policy_window_size"
    data = REPORTS[0].read_bytes()
    assert b"/" + name in data
    report = tmp_path / "a.ncu-rep"
    report.write_bytes(data.replace(name, name.replace(b"device_", b"L1/TEX_")))
    scrub_report(report, tmp_path / "b.ncu-rep")
    before, after = read_counters(report), read_counters(tmp_path / "b.ncu-rep")
    assert "L1/TEX__attribute_max_access_policy_window_size" in {column["name"] for column in before.metrics}
    assert (before.metrics, before.results) == (after.metrics, after.results)


def test_names_of_people_may_have_letters_beyond_ascii(tmp_path):
    told = b"The difference between calculated theoretical (100.0%) and measured achieved occ"
    secret = "it read /home/jörg/geheim/a.bin, which jörg has: /m/é".encode()
    data = REPORTS[0].read_bytes()
    assert told in data
    report, copy = tmp_path / "a.ncu-rep", tmp_path / "b.ncu-rep"
    report.write_bytes(data.replace(told, secret.ljust(len(told))))
    scrub_report(report, copy)
    left = copy.read_bytes()
    assert b"a.bin, which" in left
    for private in ("jörg", "geheim", "/home", "/m/"):
        assert private.encode() not in left, private


@pytest.mark.parametrize("cut", [4, 9, 30, 5000, -1])
def test_a_report_of_ncu_that_is_cut_off_leaves_no_copy(cut, tmp_path):
    (tmp_path / "a.ncu-rep").write_bytes(REPORTS[0].read_bytes()[:cut])
    command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "scrub", "a.ncu-rep"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.ncu-rep"]


def test_foreign_databases_are_refused(tmp_path):
    database = sqlite3.connect(tmp_path / "a.sqlite")
    database.execute("CREATE TABLE a (b)")
    database.close()
    with pytest.raises(DamagedFileError, match="no export of nsys"):
        scrub(tmp_path / "a.sqlite", tmp_path / "b.sqlite")


UNREADABLE = {
    "no names": ("a.sqlite", "DROP TABLE StringIds"),
    "ends before it starts": ("a.sqlite", 'UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET "end" = start - 1'),
    "a header alone": ("a.csv", RAW[: RAW.index("\n", RAW.index('"ID"')) + 1]),
    "no rows": ("b.csv", "\n".join(KERNELS.split("\n")[:2]) + "\n"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_imported_is_not_scrubbed_either(tmp_path, case):
    name, content = UNREADABLE[case]
    path = tmp_path / name
    if path.suffix == ".sqlite":
        database = sqlite3.connect(recorded(path, "3.24.0"))
        database.execute(content)
        database.commit()
        database.close()
    else:
        path.write_text(content)
    perfkit = [sys.executable, "-c", "from perfkit_core.cli import main; main()"]
    said = []
    for arguments in (["import", name, "--out", "I"], ["scrub", name]):
        done = subprocess.run([*perfkit, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 5, done.stderr
        said.append(done.stderr)
    assert said[0] == said[1]
    assert list(tmp_path.glob("*scrubbed*")) == []


@pytest.mark.parametrize("text", [RAW, DETAILS])
def test_tables_of_ncu_lose_hosts_programs_and_what_stands_around(tmp_path, text):
    from perfkit_nsight.ncu_csv import load

    from perfkit_core.importer import ImportContext
    from perfkit_core.options import Options

    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text(text)
    scrub_ncu(source, target)
    left = target.read_text()
    for private in ("ada", "/home", "loss", "python"):
        assert private not in left
    before, after = (load(ImportContext(path=path, options=Options())) for path in (source, target))
    assert after.report == before.report
    assert after.files == before.files


def test_tables_of_nsys_stats_lose_directories(tmp_path):
    from perfkit_nsight.nsys_stats import load

    from perfkit_core.importer import ImportContext
    from perfkit_core.options import Options

    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text("started by ada on ada-pc\n" + KERNELS + RANGES)
    scrub_stats(source, target)
    assert "ada" not in target.read_text()
    assert "/opt" not in target.read_text()
    before, after = (load(ImportContext(path=path, options=Options())) for path in (source, target))
    assert after.report == before.report
    assert after.files == before.files


def test_the_copy_is_imported_like_the_original(tmp_path):
    source = recorded(tmp_path / "a.sqlite", "3.24.0")
    perfkit = [sys.executable, "-c", "from perfkit_core.cli import main; main()"]
    for arguments in (["scrub", "a.sqlite", "-o", "b.sqlite"], ["import", "a.sqlite", "--out", "A"],
                      ["import", "b.sqlite", "--out", "B"]):  # fmt: skip
        done = subprocess.run([*perfkit, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "A/regions.json").read_bytes() == (tmp_path / "B/regions.json").read_bytes()
    shutil.rmtree(tmp_path / "A")
    assert source.exists()
