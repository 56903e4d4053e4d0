"""Files of ``ncu/regions``: names of directories whatever ranges are called, pages, limits."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfkit_core import counters, rundir
from perfkit_core.counters import region_directories, write_counters
from perfkit_core.rundir import RunWriter
from perfkit_core.schema.counters import (
    CounterKernel,
    CounterRegion,
    CountersReport,
    Efficiency,
    MetricValue,
    RuleMessage,
    TopKernel,
)
from perfkit_core.schema.run import RunIndex

HOSTILE = [
    ("perfkit", name)
    for name in (
        "..", ".", "../..", "/", "//", "a/../b", "report.json", "report/json", "report.md", "CON", "con", "Con/x",
        "nul", "LPT1", "a", "A", "a.b", "a/b", "a_b", "a b", "\0", "x" * 300, "x" * 301, "🔥", "💧", "~", "-",
        "C:\\temp", "a" * 99 + "/..", "CON_",
    )
] + [("", "a"), ("a", "b"), ("..", "..")]  # fmt: skip


def check(regions: list[tuple[str, str]], found: dict[tuple[str, str], str]) -> None:
    assert found.keys() == set(regions)
    assert len({name.casefold() for name in found.values()}) == len(found)
    for name in found.values():
        assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name), name
        assert len(name) <= 100
        assert name.casefold() not in {"report.json", "report.md"}
        assert name.partition(".")[0].casefold() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}


def test_hostile_names_stay_inside_and_apart() -> None:
    check(HOSTILE, region_directories(HOSTILE))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["perfkit", "", "a"]),
            st.text(st.sampled_from("aA./_ -\\0:~é🔥\n") | st.characters(exclude_categories=["Cs"]), max_size=130),
        ),
        max_size=12,
        unique=True,
    )
)
@example([("perfkit", "a.b"), ("perfkit", "a/b"), ("perfkit", "A/B")])
def test_any_names_stay_inside_and_apart(regions: list[tuple[str, str]]) -> None:
    found = region_directories(regions)
    check(regions, found)
    assert region_directories(regions[::-1]) == found


def test_names_are_readable_and_have_digits_only_where_they_must() -> None:
    regions = [
        ("perfkit", "denoise/step/blocks.0"),
        ("perfkit", "vae_decode"),
        ("", "A"),
        ("perfkit", "X"),
        ("perfkit", "x"),
    ]
    found = region_directories(regions)
    assert [found[region] for region in regions[:3]] == ["denoise.step.blocks_0", "vae_decode", "default.A"]
    assert re.fullmatch(r"X-[0-9a-f]{8}", found["perfkit", "X"])
    # What else there is does not change them.
    assert region_directories([*regions, ("perfkit", "other")])["perfkit", "X"] == found["perfkit", "X"]


def region(path: str, time: int, *, note: str = "") -> CounterRegion:
    return CounterRegion(
        name=path.rpartition("/")[2],
        path=path,
        parent=path.rpartition("/")[0] or None,
        domain="perfkit",
        directory="",
        total_ms=time / 1e6,
        kernel_count=1,
        inclusive_ns=time,
        exclusive_ns=time,
        inclusive_kernels=1,
        exclusive_kernels=1,
        instances=1,
        measured_share=1.0,
        bound="compute",
        reason="because of | and `this`",
        metrics=(MetricValue(name="l1tex__x.sum", value=2.0, unit="", of="sum"),),
        top_kernels=(TopKernel(kernel=0, readable="k|`k`", calls=1, total_ns=time),),
        note=note,
    )


KERNEL = CounterKernel(
    name="k|`k`",
    readable="k|`k`",
    grid="1,1,1",
    block="1,1,1",
    calls=1,
    total_ns=9,
    measured_calls=0,
    profiled_ns=None,
    bound="unknown",
    reason="it was not measured",
)


def written(
    out: Path, *regions: CounterRegion, kernels: Sequence[CounterKernel] = (KERNEL,), told: Sequence[str] = ()
) -> RunWriter:
    index = RunIndex(
        perfkit_version="0",
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status="running",
        kind="import",
        model="",
        variant="",
        workload="",
        plugins=(),
        settings_origins={},
        totals=None,
        stages=(),
        passes=(),
        files=(),
    )
    writer = rundir.create_run(out, index)
    report = CountersReport(
        profiler="p", timeline="t", regions=regions, outside_ns=0, kernels=tuple(kernels), notes=("A note",)
    )
    write_counters(writer, report, source="passes/01-ncu", told=told)
    return writer


def test_every_region_has_its_files_and_the_index_lists_them(tmp_path: Path) -> None:
    writer = written(tmp_path / "R", region("a", 9), region("a/b", 3), region("..", 1))
    report = writer.run().counters
    assert report is not None
    names = [one.directory for one in report.regions]
    expected = {f"ncu/regions/{name}/report.{kind}" for name in names for kind in ("json", "md")}
    assert expected | {"ncu/regions/report.json", "ncu/regions/report.md"} <= set(writer.index.files)
    assert all((tmp_path / "R" / name).is_file() for name in writer.index.files)
    assert writer.index.file_passes["ncu/regions/report.json"] == "passes/01-ncu"
    alone = json.loads((tmp_path / "R/ncu/regions" / names[1] / "report.json").read_text())
    assert (alone["schema"], alone["name"], alone["total_ms"]) == ("perfkit.counters-region/1", "b", 3e-6)


def test_names_cannot_break_the_tables(tmp_path: Path) -> None:
    written(tmp_path / "R", region("a|b", 9, note="<b> | note"))
    for page in (tmp_path / "R/ncu/regions").rglob("report.md"):
        tables = [line for line in page.read_text().splitlines() if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
        assert widths <= {3, 4, 5, 12, 14, 15, 19}, widths
        assert "<b>" not in page.read_text()


def rule(name: str, percent: float | None, kind: str, message: str = "Do this. It helps.") -> RuleMessage:
    return RuleMessage(section="s", rule=name, type="OPT", message=message, speedup_percent=percent, speedup_type=kind)


def estimates(page: Path) -> list[list[str]]:
    """Return the cells of the table of estimates."""
    _, found, text = page.read_text().partition("## What the profiler's rules estimate\n")
    rows = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert bool(rows) is bool(found)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_largest_estimates_of_rules_are_shown_by_the_time_at_stake(tmp_path: Path) -> None:
    kernels = [
        KERNEL.model_copy(update={"readable": name, "total_ns": time, "rules": rules})
        for name, time, rules in (
            ("long", 1000, (rule("A", 10.0, "global"), rule("B", 90.0, "local"), rule("C", None, ""))),
            ("short", 10, (rule("A", 80.0, "global"), rule("A", 70.0, "global"), rule("D", 0.0, "global"))),
            ("plain", 500, ()),
        )
    ]
    regions = [
        region(name, 9).model_copy(
            update={"top_kernels": (TopKernel(kernel=kernel, readable="k", calls=1, total_ns=9),)}
        )
        for name, kernel in (("a", 1), ("b", 2))
    ]
    written(tmp_path / "R", *regions, kernels=kernels)
    folder = tmp_path / "R/ncu/regions"
    assert [(row[0], row[3], row[4]) for row in estimates(folder / "report.md")] == [
        ("`long`", "90.0 % local", "B"),
        ("`long`", "10.0 % global", "A"),
        ("`short`", "80.0 % global", "A"),
    ]
    (own,) = estimates(folder / "a/report.md")
    assert (own[0], own[3], own[4]) == ("`short`", "80.0 % global", "A")
    assert estimates(folder / "b/report.md") == []


def test_more_occupancy_is_no_estimate_for_a_kernel_that_reaches_a_peak(tmp_path: Path) -> None:
    rules = (rule("Achieved Occupancy", 90.0, "local"), rule("Tail", 5.0, "global"))
    busy, waiting = (
        KERNEL.model_copy(update={"readable": name, "efficiency": Efficiency(compute_share=share), "rules": rules})
        for name, share in (("busy", 0.6), ("waiting", 0.59))
    )
    writer = written(tmp_path / "R", region("a", 9), kernels=[busy, waiting])
    page = tmp_path / "R/ncu/regions/report.md"
    assert [(row[0], row[4]) for row in estimates(page)] == [
        ("`waiting`", "Achieved Occupancy"),
        ("`busy`", "Tail"),
        ("`waiting`", "Tail"),
    ]
    assert "Left out: 1 of occupancy, for kernels that reach 60.0 % of the compute or memory peak" in page.read_text()
    report = writer.run().counters
    assert report is not None
    assert [len(one.rules) for one in report.kernels] == [2, 2]


def cells(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    table = page.partition(f"\n## {heading}\n")[2].lstrip().partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_regions_in_equal_places_are_one_row_before_the_list_of_all(tmp_path: Path) -> None:
    def block(path: str, time: int, share: float, **more: object) -> CounterRegion:
        found = Efficiency(compute_share=share, intensity=10.0 * share, dram_bytes=100.0)
        return region(path, time).model_copy(update={"efficiency": found, **more})

    rows = [
        block("m", 900, 0.5),
        block("m/blocks.0", 300, 0.8),
        block("m/blocks.1", 100, 0.4, bound="memory"),
        block("m/blocks.2", 400, 0.9, bound="unknown", measured_share=0.0, efficiency=Efficiency()),
    ]
    written(tmp_path / "R", *rows, kernels=[KERNEL.model_copy(update={"total_ns": 1000})])
    page = (tmp_path / "R/ncu/regions/report.md").read_text()
    assert "Times, shares and calls are as recorded" in page.split("## Families of regions")[0]
    assert cells(page, "Families of regions") == [
        ["`m`", "1", "900 ns", "90.0 %", "100.0 %", "compute", "50.0 %", "-", "-", "-", "5.000 FLOP/B"],
        ["`m/blocks.*`", "3", "800 ns", "80.0 %", "50.0 %", "unknown 50.0 %, compute 37.5 %, memory 12.5 %", "70.0 %",
         "-", "-", "-", "6.000 FLOP/B"],
    ]  # fmt: skip
    assert [row[0] for row in cells(page, "Regions")] == ["`m`", "`m/blocks.0`", "`m/blocks.1`", "`m/blocks.2`"]
    assert page.index("## Families of regions") < page.index("## Regions")


def test_a_range_replayed_as_a_whole_is_shown_as_measured(tmp_path: Path) -> None:
    found = Efficiency(intensity=10.0, dram_bytes=100.0, dram_share=0.2)
    ranged = region("a", 900).model_copy(update={"range_ns": 5000.0, "measured_share": 0.0, "efficiency": found})
    inside = region("a/b", 300).model_copy(update={"measured_share": 0.0})
    written(tmp_path / "R", ranged, inside)
    folder = tmp_path / "R/ncu/regions"
    page = (folder / "report.md").read_text()
    assert [row[4] for row in cells(page, "Families of regions")] == [
        "as a whole", "inside a range measured as a whole",
    ]  # fmt: skip
    assert [row[5] for row in cells(page, "Regions")] == ["as a whole", "inside a range measured as a whole"]
    assert cells(page, "Families of regions")[0][8:] == ["20.0 %", "-", "10.00 FLOP/B"]
    own = (folder / "a/report.md").read_text()
    assert "| time of its range | 5.000 µs |" in own
    assert "The time of its range is that of one instance under the counters" in own


def test_a_kernels_rate_is_by_the_time_beside_it(tmp_path: Path) -> None:
    found = Efficiency(flops_per_s=2e12, peak_share=0.5)
    one = KERNEL.model_copy(
        update={"calls": 3, "total_ns": 9000, "measured_calls": 1, "profiled_ns": 2500.0, "efficiency": found}
    )
    written(tmp_path / "R", region("a", 9), kernels=[one])
    page = (tmp_path / "R/ncu/regions/report.md").read_text()
    row = next(line for line in page.splitlines() if "1,1,1 / 1,1,1" in line)
    shown = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert shown[4:9] == ["3", "9.000 µs", "100.0 %", "3.000 µs", "2.500 µs"]
    assert shown[-2:] == ["2.000 TFLOP/s", "50.0 %"]
    assert "mean counted is the time of one under the counters" in page


def test_a_page_has_few_estimates_and_short_ones(tmp_path: Path) -> None:
    linked = "Use @url:the guide:https://example.org/a.html#b@ or @section:Occupancy:the section@ (2.5 of 3.0)."
    long = f"{linked} {'X' * 399}"
    many = tuple(rule(f"R{number}", 50.0 - number, "global", long) for number in range(14))
    endless = KERNEL.model_copy(update={"rules": (rule("E", 99.0, "global", "y" * 999),)})
    written(tmp_path / "R", region("a", 9), kernels=[KERNEL.model_copy(update={"rules": many}), endless])
    page = tmp_path / "R/ncu/regions/report.md"
    rows = estimates(page)
    assert len(rows) == 10
    assert "10 of 15; all are in `report.json`" in page.read_text()
    assert rows[0][5] == "y" * 399 + "…"
    assert rows[1][5] == "Use the guide or the section (2.5 of 3.0)."
    assert len(estimates(tmp_path / "R/ncu/regions/a/report.md")) == 3


def test_what_the_pass_knows_is_on_the_page_alone(tmp_path: Path) -> None:
    written(tmp_path / "R", region("a", 9), told=("Because of `this`",))
    folder = tmp_path / "R/ncu/regions"
    assert "\n- Because of \\`this\\`\n- A note\n" in (folder / "report.md").read_text()
    assert "Because" not in (folder / "report.json").read_text()


def test_past_a_limit_regions_have_no_directory_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "DIRECTORIES", 2)
    report = written(tmp_path / "R", region("a", 1), region("b", 3), region("c", 2)).run().counters
    assert report is not None
    assert [(one.directory, len(one.metrics)) for one in report.regions] == [("", 0), ("b", 1), ("c", 1)]
    assert report.notes[-1].startswith("1 regions with the least time have neither a directory")
    assert sorted(path.name for path in (tmp_path / "R/ncu/regions").iterdir()) == [
        "b",
        "c",
        "report.json",
        "report.md",
    ]
    page = (tmp_path / "R/ncu/regions/report.md").read_text()
    assert "| `b` |" in page
    assert "| `a` |" not in page.partition("## Regions\n")[2]
    assert "1 more are in `report.json`." in page
