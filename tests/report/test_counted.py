"""FLOPs that tensor cores counted against those of the formulas, in reports and for templates."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit_core.counted_join import counted_flops
from perfkit_core.findings import Findings
from perfkit_core.report import render
from perfkit_core.rundir import Run, load_run

from .counted_runs import (
    LIGHT,
    PRODUCT,
    THREE_RANGES,
    UNKNOWN_SCAN,
    Seen,
    counters_report,
    regions_report,
    three_ranges,
    with_counters,
)

HEADING = "## FLOPs counted and analytic"
STEP = "denoise/step"
DIT = f"{STEP}/transformer"
NOT_MEASURED: dict[str, Any] = {"measured_calls": 0, "profiled_ns": None, "efficiency": {}}


def perfkit(*arguments: object, cwd: Path) -> str:
    line = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def section(text: str) -> str:
    return text.split(HEADING, 1)[1].split("\n## ", 1)[0]


def verdict(text: str) -> str:
    return section(text).strip().splitlines()[0]


def table(text: str) -> dict[str, list[str]]:
    """Cells by region: regions, calls, analytic, counted, ratio, measured, note."""
    rows = [line for line in section(text).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_products_of_three_ranges_are_counted_exactly(tmp_path: Path) -> None:
    text = perfkit("report", THREE_RANGES, cwd=tmp_path)
    assert verdict(text) == "3 of 3 regions agree within 2 % of the analytic FLOPs."
    assert table(text) == {
        "A": ["1", "1 of 1", "34.36 GFLOP", "34.36 GFLOP", "100.0 %", "100.0 %", ""],
        "A/A1": ["1", "1 of 1", "17.18 GFLOP", "17.18 GFLOP", "100.0 %", "100.0 %", ""],
        "B": ["1", "1 of 1", "17.18 GFLOP", "17.18 GFLOP", "100.0 %", "100.0 %", ""],
    }
    rows = Findings(load_run(THREE_RANGES)).counted.rows
    assert [row.counted_flops for row in rows] == [row.analytic_flops for row in rows] == [2**35, 2**34, 2**34]


def test_an_import_that_names_the_model_says_the_same(tmp_path: Path) -> None:
    files = [*THREE_RANGES.glob("passes/*/capture.sqlite"), *THREE_RANGES.glob("passes/*/counters.ncu-rep")]
    perfkit("import", *files, "--model", "three_ranges", "--out", "I", cwd=tmp_path)
    assert section((tmp_path / "I/report.md").read_text()).strip().startswith("3 of 3 regions agree")
    assert table((tmp_path / "I/report.md").read_text()) == table(render(load_run(THREE_RANGES)))
    perfkit("import", *files, "--out", "J", cwd=tmp_path)
    assert HEADING not in (tmp_path / "J/report.md").read_text()


def test_a_run_without_counters_has_no_section_and_the_template_says_why(tiny: Run) -> None:
    assert HEADING not in render(tiny)
    assert verdict(render(tiny, template="counted.md")).startswith("There is nothing to compare")


def test_a_partly_measured_region_is_a_lower_bound_and_no_disagreement(tmp_path: Path) -> None:
    change = {"A": {"measured_share": 0.5, "efficiency": {"tensor_flops": 0.93 * 2**35}}}
    text = render(load_run(three_ranges(tmp_path / "R", change, A=NOT_MEASURED)))
    assert table(text)["A"][3:] == ["≥ 31.95 GFLOP", "≥ 93.0 %", "50.0 %", "partly measured: a lower bound"]
    assert verdict(text) == (
        "2 of 2 regions agree within 2 % of the analytic FLOPs; 1 more was not measured far enough to tell."
    )
    assert table(text)["A/A1"][4] == "100.0 %"


@pytest.mark.parametrize(("flops", "listed"), [(0.1, False), (1.1, True)])
def test_a_region_of_which_too_little_was_measured_has_a_row_only_if_it_did_more(
    tmp_path: Path, flops: float, listed: bool
) -> None:
    change = {"A": {"measured_share": 0.49, "efficiency": {"tensor_flops": flops * 2**35}}}
    text = render(load_run(three_ranges(tmp_path / "R", change, A=NOT_MEASURED)))
    assert ("A" in table(text)) == listed
    left_out = "Rows of regions of which too little has counters to tell: 1, left out."
    assert (left_out in text) != listed


@pytest.mark.parametrize("lost", [{"domain": ""}, {"domain": "", "where": ""}])
def test_files_that_do_not_place_kernels_have_lower_bounds_too(tmp_path: Path, lost: dict[str, str]) -> None:
    change = {"A": {"measured_share": 0.5, "efficiency": {"tensor_flops": 0.93 * 2**35}}}
    where = dict.fromkeys(("A",), NOT_MEASURED | lost) | dict.fromkeys(("A__A1", "B"), lost)
    text = render(load_run(three_ranges(tmp_path / "R", change, **where)))
    assert table(text)["A"][4:] == ["≥ 93.0 %", "50.0 %", "partly measured: a lower bound"]
    assert table(text)["B"][4:] == ["100.0 %", "100.0 %", ""]


def test_what_is_too_much_already_is_so_however_little_was_measured(tmp_path: Path) -> None:
    change = {"A": {"measured_share": 0.5, "efficiency": {"tensor_flops": 1.5 * 2**35}}}
    text = render(load_run(three_ranges(tmp_path / "R", change, A=NOT_MEASURED)))
    assert "2 of 3 regions agree" in verdict(text)
    assert "1 did more" in verdict(text)
    assert "They differ most in A (≥ 150.0 %)." in verdict(text)


def test_nothing_measured_far_enough_is_no_agreement(tmp_path: Path) -> None:
    run = load_run(three_ranges(tmp_path / "R", {}, A=NOT_MEASURED, A__A1=NOT_MEASURED, B=NOT_MEASURED))
    assert verdict(render(run)) == "None of 3 regions was measured far enough to tell."


@pytest.mark.parametrize(
    ("name", "ratio"), [(LIGHT, "100.0 %"), (PRODUCT, "≥ 100.0 %"), (UNKNOWN_SCAN, "≥ 100.0 %"), ("k", "≥ 100.0 %")]
)
def test_only_kernels_that_cannot_use_tensor_cores_may_be_left_out(tmp_path: Path, name: str, ratio: str) -> None:
    change = {"A": {"measured_share": 0.5}, "A/A1": {"measured_share": 0.5}}
    run = load_run(three_ranges(tmp_path / "R", change, A__A1={**NOT_MEASURED, "name": name}))
    found = table(render(run))
    assert (found["A"][4], found["A/A1"][4], found["B"][4]) == (ratio, ratio, "100.0 %")


def test_work_that_the_formulas_lack_is_named_where_it_is(tmp_path: Path) -> None:
    """The region around differs as much, and is not what to look at."""
    change = {
        "A": {"efficiency": {"tensor_flops": 2**35 + 2**33}},
        "A/A1": {"efficiency": {"tensor_flops": 2**34 + 2**33}},
    }
    text = render(load_run(three_ranges(tmp_path / "R", change)))
    assert verdict(text) == (
        "1 of 3 regions agree within 2 % of the analytic FLOPs; 2 did more. They differ most in A/A1 (150.0 %)."
    )
    assert table(text)["A"][4] == "125.0 %"


def test_what_was_not_measured_is_not_named_as_a_difference(tmp_path: Path) -> None:
    """The product of the region around has no counters: what is too much there is all of the region inside."""
    change: dict[str, dict[str, Any]] = {
        "A": {"measured_share": 0.5, "efficiency": {"tensor_flops": 3 * 2**34}},
        "A/A1": {"efficiency": {"tensor_flops": 3 * 2**34}},
    }
    text = render(load_run(three_ranges(tmp_path / "R", change, A=NOT_MEASURED)))
    assert verdict(text).endswith("2 did more. They differ most in A/A1 (300.0 %).")


@pytest.mark.parametrize(
    ("flops", "ratio", "note"),
    [
        (
            0.0,
            "0.0 %",
            "all of it was done without tensor cores, or not at all; other cores did 17.20 GFLOP of any kind",
        ),
        (2.0**33, "50.0 %", "the rest was done without tensor cores, or not at all; other cores did 17.20 GFLOP of"),
    ],
)
def test_work_without_tensor_cores_is_less(tmp_path: Path, flops: float, ratio: str, note: str) -> None:
    change = {"B": {"efficiency": {"tensor_flops": flops, "cuda_core_flops": 1.72e10}}}
    text = render(load_run(three_ranges(tmp_path / "R", change)))
    assert table(text)["B"][4] == ratio
    assert table(text)["B"][6].startswith(note)
    assert f"1 did less. They differ most in B ({ratio})." in verdict(text)


@pytest.mark.parametrize(("factor", "agrees"), [(0.981, 3), (1.019, 3), (0.979, 2), (1.021, 2)])
def test_two_percent_are_the_limit(tmp_path: Path, factor: float, agrees: int) -> None:
    change = {"B": {"efficiency": {"tensor_flops": factor * 2**34}}}
    text = render(load_run(three_ranges(tmp_path / "R", change)))
    assert verdict(text).startswith(f"{agrees} of 3 regions agree")


def test_counters_without_tensor_cores_compare_nothing(tmp_path: Path) -> None:
    change = {path: {"efficiency": {"tensor_flops": None}} for path in ("A", "A/A1", "B")}
    assert HEADING not in render(load_run(three_ranges(tmp_path / "R", change)))


def flops_of(run: Run, path: str, instances: int) -> int:
    """FLOPs of as many calls of a module."""
    assert run.report is not None
    module = next(one for one in run.report.modules if one.path == path)
    assert module.flops % module.calls == 0
    return module.flops // module.calls * instances


def sampled(run: Run, factors: dict[str, float], share: float = 1.0) -> dict[str, Seen]:
    """The guided loop of Wan2.1 with 3 of its 50 steps, and two parts of every block."""
    found = {"denoise": Seen(flops=1.0), STEP: Seen(flops=float(flops_of(run, STEP, 3)), instances=3)}
    parts = [f"{DIT}/blocks.{block}{part}" for block in range(40) for part in ("", "/attn1", "/ffn")]
    for path in (DIT, *parts):
        factor = factors.get(path.rpartition("/")[2], factors.get(path, 1.0))
        found[path] = Seen(flops=flops_of(run, path, 6) * factor, instances=6, share=share)
    return found


def test_sampled_loops_count_as_often_as_they_were_recorded(full: Run, tmp_path: Path) -> None:
    run = with_counters(full, tmp_path / "R", sampled(full, {}))
    found = table(render(run))
    assert found[STEP][1] == "3 of 50"
    assert found[f"{DIT}/blocks.*/attn1"][1:2] + found[f"{DIT}/blocks.*/attn1"][4:6] == [
        "6 of 100",
        "100.0 %",
        "100.0 %",
    ]
    assert found[STEP][6] == "analytic: mean of all calls"
    rows = {row.path: row for row in Findings(run).counted.rows}
    assert rows[f"{DIT}/blocks.12/ffn"].analytic_flops == flops_of(full, f"{DIT}/blocks.12/ffn", 6)
    # The loop was recorded in three of its steps, so what contains it is of three steps too.
    assert rows["denoise"].analytic_flops == rows[STEP].analytic_flops


def test_equal_regions_are_one_row_with_the_range_of_their_ratios(full: Run, tmp_path: Path) -> None:
    seen = sampled(full, {f"{DIT}/blocks.7/attn1": 1.5, f"{DIT}/blocks.8/attn1": 0.5})
    run = with_counters(full, tmp_path / "R", seen, [(PRODUCT, f"{DIT}/blocks.*/ffn")])
    found = table(render(run))
    assert [name for name in found if "blocks" in name] == [
        f"{DIT}/blocks.*", f"{DIT}/blocks.*/attn1", f"{DIT}/blocks.*/ffn",
    ]  # fmt: skip
    attention, ffn = found[f"{DIT}/blocks.*/attn1"], found[f"{DIT}/blocks.*/ffn"]
    assert (attention[0], attention[4]) == ("40", "50.0 % to 150.0 %")
    assert ffn[4] == "≥ 100.0 %"
    assert found[f"{DIT}/blocks.*"][4] == "≥ 100.0 %"  # what is inside counts for what is around
    assert "38 of 40 regions agree" in verdict(render(run))
    assert "They differ most in denoise/step/transformer/blocks.\\*/attn1 (50.0 % to 150.0 %)." in verdict(render(run))
    template = tmp_path / "all.md"
    template.write_text(
        "{% for row in report.findings.counted.rows %}{{ row.path }} {{ row.ratio_text }}\n{% endfor %}"
    )
    lines = render(run, template=str(template)).splitlines()
    assert len(lines) == len(seen)
    assert f"{DIT}/blocks.7/attn1 150.0 %" in lines


def test_a_range_replayed_as_a_whole_counts_for_each_of_its_instances(full: Run, tmp_path: Path) -> None:
    step = Seen(flops=float(flops_of(full, STEP, 1)), instances=3, share=0.0, range_ns=5e6)
    seen = {"denoise": Seen(flops=None), STEP: step}
    run = with_counters(full, tmp_path / "R", seen, [(PRODUCT, STEP)])
    assert table(render(run))[STEP][4:] == ["100.0 %", "100.0 %", "replayed as a whole; analytic: mean of all calls"]


def test_kernels_in_cuda_graphs_make_a_lower_bound(full: Run, tmp_path: Path) -> None:
    step = Seen(flops=flops_of(full, STEP, 3) * 0.5, instances=3, graphs=1)
    seen = {"denoise": Seen(flops=None), STEP: step}
    run = with_counters(full, tmp_path / "R", seen)
    assert table(render(run))[STEP][4] == "≥ 50.0 %"
    assert "CUDA graphs" in table(render(run))[STEP][6]


def test_a_stage_that_calls_its_modules_twice_is_told_by_those_inside(full: Run, tmp_path: Path) -> None:
    """Guided, the text encoder runs twice in one stage: the stage alone does not tell whether it was recorded half."""
    whole = Seen(flops=float(flops_of(full, "text_encoder", 2)))
    alone = with_counters(full, tmp_path / "alone", {"text_encoder": whole})
    assert HEADING not in render(alone)
    inside = {"text_encoder": whole, "text_encoder/encoder": Seen(flops=whole.flops, instances=2)}
    run = with_counters(full, tmp_path / "inside", inside)
    assert verdict(render(run)).startswith("2 of 2 regions agree")


RATIOS = st.floats(0, 100, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    factors=st.dictionaries(st.sampled_from(["attn1", "ffn", "blocks.3", "blocks.4"]), RATIOS),
    instances=st.integers(1, 100),
    unmeasured=st.lists(
        st.tuples(st.sampled_from([PRODUCT, LIGHT]), st.sampled_from([f"{DIT}/blocks.*/ffn", f"{DIT}/blocks.*", DIT])),
        max_size=2,
    ),
)
def test_lower_bounds_are_never_said_to_be_too_little(
    full: Run, factors: dict[str, float], instances: int, unmeasured: list[tuple[str, str]]
) -> None:
    parts = [f"{DIT}/blocks.{block}{part}" for block in (3, 4) for part in ("", "/attn1", "/ffn")]
    seen = {
        path: Seen(
            flops=flops_of(full, path, instances) * factors.get(path.rpartition("/")[2], 1.0), instances=instances
        )
        for path in (DIT, *parts)
    }
    counted = counted_flops(full.report, regions_report(seen), counters_report(seen, unmeasured))
    heavy = [where for name, where in unmeasured if name == PRODUCT]
    for row in counted.rows:
        family = re.sub(r"\d+", "*", row.path)
        is_bound = any(where == family or where.startswith(f"{family}/") for where in heavy)
        assert row.is_whole != is_bound
        assert row.ratio_text.startswith("≥") == is_bound
        assert row.agreement != "less" or row.is_whole
        assert row.agreement != "agrees" or (row.is_whole and 0.98 <= row.ratio <= 1.02)
        assert row.analytic_flops == flops_of(full, row.path, instances)
    members = [row.path for family in counted.families for row in family.rows]
    assert sorted(members) == sorted(row.path for row in counted.rows) == sorted(seen)
    said = [int(number) for number in re.findall(r"(\d+) (?:of|did|more w)", counted.verdict)]
    if not counted.verdict.startswith("None"):
        assert sum(said) == len(seen)
