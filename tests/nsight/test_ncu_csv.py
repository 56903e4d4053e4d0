"""CSV output of ncu: raw and details page, whatever stands around the table, and what is damaged."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfkit_nsight.ncu_csv import load, rows, sniff, stacks_of
from perfkit_nsight.tables import nanoseconds, number, plain

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.importer import ImportContext
from perfkit_core.options import Options

PUSH_POP = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
START_END = "Id:Domain:Start/Stop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
FACTS = ["ID", "Process ID", "Process Name", "Host Name", PUSH_POP, START_END, "Kernel Name", "Context", "Stream",
         "Block Size", "Grid Size", "Device", "CC"]  # fmt: skip
NONE = ":none:none:none:none:none:none"
PREAMBLE = "==PROF== Connected to process 71 (/home/ada/bin/train)\nloss, 0.5\n"


def cell(*ranges):
    return "71  " + "  ".join(f'"{name}{NONE}"' for name in ranges) + " "


def facts(ident, name, *ranges, device=0):
    sizes = ["(256, 1, 1)", "(4, 2, 1)"]
    return [str(ident), "71", "python", "ada-pc", cell(*ranges), "", name, "1", "7", *sizes, str(device), "9.0"]


def text_of(*rows_, preamble=PREAMBLE):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows_)
    return preamble + text.getvalue()


RAW = text_of(
    [*FACTS, "gpu__time_duration.sum", "dram__bytes.sum", "note"],
    [""] * len(FACTS) + ["us", "Mbyte", ""],
    [*facts(0, "void mm<float>(int, int)", "<default domain>:step", "<default domain>:a/b"), "1,203.25", "1.5", "n/a"],
    [*facts(1, "relu", "<default domain>:step", "perfkit:denoise"), "0.75", "n/a", "text"],
    [*facts(2, "outside"), "10", "2", ""],
)
DETAIL = [*FACTS, "Section Name", "Metric Name", "Metric Unit", "Metric Value", "Rule Name", "Rule Type",
          "Rule Description", "Estimated Speedup Type", "Estimated Speedup"]  # fmt: skip
SPEED = "GPU Speed Of Light Throughput"
DETAILS = text_of(
    DETAIL,
    [*facts(0, "mm", "<default domain>:step"), SPEED, "Duration", "us", "3.30", "", "", "", "", ""],
    [*facts(0, "mm", "<default domain>:step"), SPEED, "Elapsed Cycles", "cycle", "12,345", "", "", "", "", ""],
    [
        *facts(0, "mm", "<default domain>:step"),
        SPEED,
        "",
        "",
        "",
        "SOLBottleneck",
        "OPT",
        "Low, \nvery.",
        "global",
        "12.5",
    ],
    [*facts(1, "relu"), SPEED, "Duration", "ms", "1,002.000001", "", "", "", "", ""],
    [*facts(1, "relu"), SPEED, "Elapsed Cycles", "cycle", "n/a", "", "", "", "", ""],
)


@pytest.fixture
def read(tmp_path):
    def run(text):
        path = tmp_path / "a.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(ImportContext(path=path, options=Options()))

    return run


def by_path(report):
    return {(row.domain, row.path): row for row in report.regions if row.process is None}


def test_the_raw_page_becomes_regions_with_the_nesting_of_the_report(read):
    found = read(RAW).report
    found_rows = by_path(found)
    assert list(found_rows) == [("", "step"), ("", "step/a%2Fb"), ("perfkit", "denoise")]
    step = found_rows["", "step"]
    assert (step.inclusive_ns, step.exclusive_ns, step.inclusive_kernels, step.exclusive_kernels) == (
        1204000,
        750,
        2,
        1,
    )
    assert found.totals.total_ns == 1_203_250 + 750 + 10_000
    assert (found.totals.outside_ns, found.totals.unattributed) == (10_000, {"no range": 10_000})
    assert found.totals.outside_by_domain == {"": 10_000, "perfkit": 10_000 + 1_203_250}
    for domain, outside in found.totals.outside_by_domain.items():
        own = sum(row.exclusive_ns for (name, _), row in found_rows.items() if name == domain)
        assert own + outside == found.totals.total_ns
    single = [row for row in found.regions if row.process is not None]
    assert {(row.process, row.device) for row in single} == {(71, 0)}
    first = found.kernels[0]
    assert (first.name, first.grid, first.block) == ("void mm<float>(int, int)", "4,2,1", "256,1,1")


def test_every_value_is_kept_with_its_unit(read):
    content = json.loads(json.dumps(read(RAW).files["launches.json"]))
    metrics = {one["name"]: one for one in content["metrics"]}
    assert metrics["dram__bytes.sum"] == {"name": "dram__bytes.sum", "unit": "Mbyte", "values": [1.5, None, 2]}
    assert metrics["gpu__time_duration.sum"]["values"] == [1203.25, 0.75, 10]
    assert metrics["note"]["values"] == [None, "text", None]
    assert content["launches"]["duration_ns"] == [1_203_250, 750, 10_000]


def test_the_details_page_has_units_per_row_and_rules(read):
    found = read(DETAILS)
    assert found.report.totals.total_ns == 3_300 + 1_002_000_001
    content = found.files["launches.json"]
    metrics = {one["name"]: one for one in content["metrics"]}
    assert metrics["Duration"]["units"] == ["us", "ms"]
    assert metrics["Elapsed Cycles"] == {
        "name": "Elapsed Cycles", "section": SPEED, "unit": "cycle", "values": [12345, None]
    }  # fmt: skip
    (rule,) = content["rules"]
    assert (rule["launch"], rule["rule"], rule["message"], rule["speedup"]) == (
        0,
        "SOLBottleneck",
        "Low, \nvery.",
        12.5,
    )


def test_rows_of_metrics_may_end_before_the_columns_of_rules(read):
    short = DETAILS.replace(',"","","","",""\n', ",\n")
    assert short != DETAILS
    assert read(short).report == read(DETAILS).report
    assert read(short).files == read(DETAILS).files


def test_a_table_without_ranges_says_how_to_record_them(read):
    text = text_of(["ID", "Kernel Name", "gpu__time_duration.sum"], ["", "", "ns"], ["0", "k", "5"], preamble="")
    found = read(text).report
    assert found.totals.outside_ns == 5
    assert any("--nvtx" in limit for limit in found.limits)
    assert any("-1 stands for it" in limit for limit in found.limits)


def test_pytorch_ranges_are_grouped_without_their_numbers(read):
    ranges = [f"<default domain>:aten::mm, op_id = {number}" for number in (3, 4)]
    text = text_of(
        [*FACTS, "gpu__time_duration.sum"], [""] * len(FACTS) + ["ns"],
        *([*facts(number, "mm", name), "7"] for number, name in enumerate(ranges)),
    )  # fmt: skip
    assert by_path(read(text).report)["", "aten::mm"].inclusive_kernels == 2


DAMAGED = {
    "cut off in the header": RAW[: RAW.index("Kernel Name") + 4],
    "cut off in a cell": RAW[: RAW.index("1,203.25") + 3],
    "cut off in a row": RAW[: RAW.index('"1.5"') - 1] + "\n",
    "no kernels": text_of([*FACTS, "x"], [""] * len(FACTS) + ["ns"]),
    "another table": "a,b\n1,2\n",
    "binary": b"\xff\xfe\x00ID",
    "a letter for an ID": RAW.replace('"1","71"', '"x","71"'),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(read, case):
    with pytest.raises(DamagedFileError) as caught:
        read(DAMAGED[case])
    assert caught.value.fix


PRINTED = """==PROF== Disconnected from process 71
[71] python@127.0.0.1
  add(const float *, float *, int) (196, 1, 1)x(256, 1, 1), Context 1, Stream 7, Device 0, CC 9.0
    Section: GPU Speed Of Light Throughput
    ----------------------- ----------- ------------
    Metric Name             Metric Unit Metric Value
    ----------------------- ----------- ------------
    Duration                         us         3.30
"""


def test_output_made_for_reading_names_the_option(tmp_path, read):
    assert sniff(tmp_path, PRINTED.encode())
    with pytest.raises(MissingError, match="made for reading") as refused:
        read(PRINTED)
    assert "--csv" in refused.value.fix


def test_what_powershell_writes_is_read(tmp_path, read):
    path = tmp_path / "power.csv"
    path.write_bytes(RAW.replace("\n", "\r\n").encode("utf-16"))
    assert sniff(path, path.read_bytes()[:1001])
    assert load(ImportContext(path=path, options=Options())).report == read(RAW).report


def test_other_tables_are_not_taken_for_it(tmp_path):
    assert sniff(tmp_path, RAW.encode())
    assert sniff(tmp_path, b"\xef\xbb\xbf" + text_of(FACTS, preamble="").encode())
    assert not sniff(tmp_path, b"ID,name\n1,2\n")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_numbers_with_and_without_separators_are_the_same(value):
    assert number(f"{value:,}") == number(str(value)) == value


@given(
    st.integers(0, 10**9), st.sampled_from([("ns", 1), ("us", 10**3), ("usecond", 10**3), ("ms", 10**6), ("s", 10**9)])
)
def test_times_are_exact_in_every_unit(value, unit):
    text = f"{Decimal(value) / unit[1]:,f}"
    assert nanoseconds(text, unit[0]) == value


@given(st.text())
def test_no_text_breaks_the_parsers(text):
    assert plain(text) is None or isinstance(plain(text), int | float | str)
    assert isinstance(stacks_of(text), dict)


NAMES = st.text(st.characters(codec="ascii", exclude_characters='":', categories=["L", "N", "P"]), min_size=1)


@given(st.lists(st.tuples(st.sampled_from(["<default domain>", "perfkit"]), NAMES), max_size=5))
def test_stacks_come_back_as_they_were_written(ranges):
    found = stacks_of(cell(*(f"{domain}:{name}" for domain, name in ranges)))
    for domain, key in (("<default domain>", ""), ("perfkit", "perfkit")):
        assert list(found.get(key, ())) == [name for own, name in ranges if own == domain]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(b'"ID","Kernel Name","m"\n' + content)
    try:
        header, _ = rows(path)
    except DamagedFileError:
        return
    assert header == ["ID", "Kernel Name", "m"]
