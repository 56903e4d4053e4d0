"""Which kernels ncu is told to measure, and how many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ncu_report
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfkit_nsight.ncu_fitting import SECONDS_PER_PASS
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.ncu_plan import MeasuringPlan, plan_kernels, plan_ranges
from perfkit_nsight.ncu_selection import function_of, selection

from perfkit_core.errors import ToolError, UsageError
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals

NAMES = ("void a::f<int>(int)", "void a::f<float>(float)", "nvjet_tst", "ncclDevKernel_AllReduce", "void g(char*)")


def _kernel(name: str, total: int, *, grid: str = "1,1,1", region: str = "decode", calls: int = 1) -> KernelRow:
    return KernelRow(
        region=region, device=0, kind="kernel", name=name, grid=grid, block="32,1,1", calls=calls, total_ns=total
    )


def _region(path: str, *, domain: str = "perfkit", instances: int = 1) -> RegionRow:
    return RegionRow(
        domain=domain,
        path=path,
        process=None,
        device=None,
        inclusive_ns=0,
        exclusive_ns=0,
        inclusive_kernels=0,
        exclusive_kernels=0,
        busy_ns=0,
        span_ns=0,
        instances=instances,
    )


def _timeline(kernels: Sequence[KernelRow], regions: Sequence[RegionRow] = ()) -> RegionsReport:
    total = sum(row.total_ns for row in kernels)
    totals = RegionTotals(
        kernels=sum(row.calls for row in kernels), total_ns=total, outside_ns=0, unattributed={}, busy_ns=total
    )
    return RegionsReport(profiler="test", limits=(), regions=tuple(regions), totals=totals, kernels=tuple(kernels))


def _plan(
    kernels: Sequence[KernelRow],
    regions: Sequence[RegionRow] = (),
    *,
    passes: int = 4,
    limit: float | None = None,
    known: bool = False,
    samples: bool = False,
    **options: object,
) -> MeasuringPlan:
    symbols = {name: f"_Z{place}" for place, name in enumerate(NAMES)} if known else {}
    return plan_kernels(
        _timeline(kernels, regions),
        NcuOptions.model_validate(options),
        passes=passes,
        run_seconds=10.0,
        limit=limit,
        symbols=symbols,
        samples=samples,
    )


def test_the_longest_are_taken_until_they_make_up_the_part() -> None:
    plan = _plan([_kernel("nvjet_tst", 80), _kernel("void g(char*)", 15), _kernel("void a::f<int>(int)", 5)])
    assert plan.patterns == ("g|_Z.*1g.*", "nvjet_tst|_Z.*9nvjet_tst.*")
    assert plan.covered == pytest.approx(0.95)


def test_every_launch_of_a_function_is_announced_when_only_its_name_is_known() -> None:
    plan = _plan([_kernel(NAMES[0], 99), _kernel(NAMES[1], 1), _kernel(NAMES[1], 0, grid="2,1,1")])
    assert plan.launches == 3
    assert "3 launches x 4 passes = 12" in plan.announcement()


def test_one_kernel_of_a_template_alone_is_chosen_when_its_symbol_is_known() -> None:
    plan = _plan([_kernel(NAMES[0], 99), _kernel(NAMES[1], 1)], known=True)
    assert (plan.patterns, plan.launches) == (("_Z0",), 1)


def test_a_program_that_cannot_say_where_it_is_has_the_first_launches_of_each_kernel_measured() -> None:
    """So a kernel that works in two regions by turns is seen in both."""
    plan = _plan([_kernel("nvjet_tst", 50, region="attn1"), _kernel("nvjet_tst", 50, region="attn2")])
    assert (plan.launches, plan.values()["each"]) == (2, 4)
    plan = _plan([_kernel("nvjet_tst", 50, calls=50), _kernel("nvjet_tst", 50, region="other", calls=7)])
    assert (plan.launches, plan.sample) == (4, None)


def test_a_region_of_thousands_of_launches_has_a_few_of_each_kernel_measured() -> None:
    """A model that is compiled, or not looked into, is one region."""
    names = [f"kernel_{place}" for place in range(10)]
    kernels = [_kernel(name, 300_000, region="forward", calls=300) for name in names]
    plan = _plan(kernels, [_region("forward", instances=3)], samples=True, coverage=1.0)
    assert (plan.sample, plan.launches, plan.values()["each"]) == ({"forward": (1,)}, 40, 4)
    assert plan.seconds == pytest.approx(10 + 4 * 40 * (1e-6 + SECONDS_PER_PASS))
    few = _plan([_kernel(name, 18, region="forward", calls=18) for name in names], [_region("forward", instances=3)],
                samples=True, coverage=1.0)  # fmt: skip
    assert (few.launches, few.values()["each"]) == (60, None)


def test_kernels_that_instances_do_not_hold_alike_are_announced_with_room_and_never_more_than_there_are() -> None:
    uneven = _plan([_kernel("nvjet_tst", 101, region="r", calls=5)], [_region("r", instances=4)], samples=True)
    assert (uneven.sample, uneven.launches) == ({"r": (0, 1, 2, 3)}, 5)
    growing = [_kernel("nvjet_tst", 10, region="r", grid=f"{place},1,1") for place in range(64)]
    plan = _plan(growing, [_region("r", instances=64)], samples=True, coverage=1.0)
    assert plan.launches == 64


def test_names_that_no_command_line_takes_are_left_out_and_said_to_be() -> None:
    plan = _plan([_kernel(f"k{place}_{'x' * 300}", 10) for place in range(600)], coverage=1.0)
    assert len(plan.values()["kernels"]) <= 100_000
    (note,) = plan.notes
    assert re.fullmatch(r"\d+ of 600 kernels are left out: ncu takes no more names", note)


def test_kernels_inside_graphs_that_the_timeline_has_as_a_whole_are_a_note() -> None:
    graph = _kernel("graph", 75).model_copy(update={"kind": "graph"})
    plan = _plan([_kernel("nvjet_tst", 25), graph])
    assert plan.notes[0].startswith("75.0% of the time is of CUDA graphs that the timeline has as a whole")


def test_under_a_limit_the_longest_that_fit_are_measured_and_fewer_launches_of_each_before_none() -> None:
    heavy = _kernel("heavy", 10 * 10**9, calls=1)
    light = [_kernel(f"light_{place}", 10**9, calls=100) for place in range(3)]
    plan = _plan([heavy, *light], limit=12.5, coverage=1.0)
    assert (plan.launches, plan.covered) == (12, pytest.approx(3 / 13))
    assert plan.seconds == pytest.approx(10 + 4 * 12 * (0.01 + SECONDS_PER_PASS))
    (note,) = plan.notes
    assert re.fullmatch(r"1 of 4 kernels are left out: in full it would take \d+ s \(--max-minutes\)", note)
    one = _plan([*light], limit=10.7, coverage=1.0)
    assert (one.launches, one.values()["each"]) == (3, 1)
    assert "1 launch of each other kernel is measured" in one.notes[0]


def test_regions_that_only_reach_the_next_iteration_are_not_measured() -> None:
    kernels = [_kernel("nvjet_tst", 10, region="decode_seek"), _kernel("nvjet_tst", 10, region="decode")]
    plan = _plan(kernels, [_region("decode"), _region("decode_seek")], samples=True, coverage=1.0)
    assert (plan.sample, plan.covered) == ({"decode": (0,)}, 1.0)
    timeline = _timeline([], [_region("decode"), _region("decode_seek")])
    ranges = plan_ranges(timeline, NcuOptions(replay="range"), passes=1, run_seconds=1, again=False)
    assert ranges.include == ("perfkit@decode/",)


def test_passes_of_ranges_are_announced_with_what_range_replay_needs_more_than_kernel_replay() -> None:
    """Two ranges of a program whose kernels take 16 passes took 34 by range replay on an H200."""
    timeline = _timeline([], [_region("a"), _region("b")])
    plan = plan_ranges(timeline, NcuOptions(replay="range"), passes=16, run_seconds=5, again=False)
    assert plan.announcement() == "ncu: 2 ranges x 20 passes = 40 at most, about 5 s"


def test_what_cannot_end_in_time_is_refused_before_it_begins() -> None:
    with pytest.raises(ToolError, match=r"takes 10 s at least, and 9 s of the time limit are left") as refused:
        _plan([_kernel("nvjet_tst", 1)], limit=9.0)
    assert "--max-minutes" in refused.value.fix
    timeline = _timeline([], [_region("a"), _region("a/b")])
    again = {"passes": 16, "run_seconds": 10.0, "again": True}
    with pytest.raises(ToolError, match=r"takes 160 s at least, and 100 s"):
        plan_ranges(timeline, NcuOptions(replay="app-range"), **again, limit=100.0)
    assert plan_ranges(timeline, NcuOptions(replay="app-range"), **again, limit=200.0).ranges == 1


def test_one_region_stands_for_those_of_its_family_where_kernels_take_the_same_time() -> None:
    """A middle instance of one block is measured, as often as its kernels run there; a slower block has its own."""
    kernels = [_kernel("nvjet_tst", 6_000_000, region=f"decode/layers.{place}", calls=6) for place in range(3)]
    kernels.append(_kernel("nvjet_tst", 60_000_000, region="decode/layers.3", calls=6))
    regions = [_region(f"decode/layers.{place}", instances=3) for place in range(4)]
    plan = _plan(kernels, regions, samples=True, coverage=1.0)
    assert plan.sample == {"decode/layers.0": (1,), "decode/layers.3": (1,)}
    assert (plan.launches, plan.covered) == (4, 1.0)
    assert plan.values()["launches"] == 4


def test_the_same_kernel_in_another_part_of_the_model_is_measured_apart() -> None:
    kernels = [_kernel("nvjet_tst", 5, region="a/attn1"), _kernel("nvjet_tst", 5, region="a/attn2")]
    plan = _plan(kernels, [_region("a/attn1"), _region("a/attn2")], samples=True, coverage=1.0)
    assert (plan.sample, plan.launches) == ({"a/attn1": (0,), "a/attn2": (0,)}, 2)


def test_more_instances_are_measured_where_they_are_not_alike() -> None:
    """The first of seven chunks runs another kernel than the others."""
    kernels = [_kernel("nvjet_tst", 6, region="vae", calls=6), _kernel("void g(char*)", 1, region="vae")]
    plan = _plan(kernels, [_region("vae", instances=7)], samples=True, coverage=1.0)
    assert plan.sample == {"vae": (0, 1, 2, 3)}
    alike = _plan([_kernel("nvjet_tst", 7, region="vae", calls=7)], [_region("vae", instances=7)], samples=True)
    assert (alike.sample, alike.launches) == ({"vae": (3,)}, 1)


def test_collectives_are_left_out_and_said_to_be() -> None:
    plan = _plan([_kernel("ncclDevKernel_AllReduce", 90), _kernel("nvjet_tst", 10)])
    assert plan.patterns == ("nvjet_tst|_Z.*9nvjet_tst.*",)
    assert plan.covered == pytest.approx(0.1)
    assert any("NCCL" in note for note in plan.notes)


def test_exclude_wins_and_a_pattern_that_matches_nothing_is_a_note() -> None:
    kernels = [_kernel("nvjet_tst", 90), _kernel("void g(char*)", 10)]
    plan = _plan(kernels, include="nvjet,g", exclude="nvjet,nothing")
    assert plan.patterns == ("g|_Z.*1g.*",)
    assert plan.notes == ("No kernel's name holds 'nothing' of ncu.exclude",)


def test_filters_that_leave_no_kernel_are_refused_and_do_not_select_all() -> None:
    """ncu that is given no name measures every kernel."""
    kernels = [_kernel("nvjet_tst", 80), _kernel("void g(char*)", 20)]
    with pytest.raises(ToolError, match=r"leave no kernel to measure; there are: nvjet_tst, void g") as none:
        _plan(kernels, include="nosuch")
    assert "kernels.md" in none.value.fix
    with pytest.raises(ToolError, match="leave no kernel to measure"):
        _plan(kernels, exclude="nvjet,g")
    with pytest.raises(ToolError, match=r"no kernel ran inside the region 'nosuch'") as region:
        _plan(kernels, region="nosuch")
    assert "regions.json" in region.value.fix
    with pytest.raises(ToolError, match="all kernels are NCCL's") as alone:
        _plan([_kernel("ncclDevKernel_AllReduce", 5)])
    assert "--backend nsys" in alone.value.fix


@pytest.mark.parametrize("kind", ["include", "exclude"])
def test_names_are_refused_where_nothing_found_kernels_to_choose_among(kind: str) -> None:
    options = NcuOptions.model_validate({kind: "gemm"})
    for timeline in (None, _timeline([])):
        with pytest.raises(UsageError, match="choose among kernels that a first pass finds") as error:
            plan_kernels(timeline, options, passes=1, run_seconds=1.0, limit=None, symbols={}, samples=False)
        assert "--set ncu.find=nsys" in error.value.fix


def test_only_kernels_of_the_region_count() -> None:
    kernels = [_kernel("nvjet_tst", 90, region="prefill"), _kernel("void g(char*)", 10, region="decode/layers.1")]
    plan = _plan(kernels, region="decode")
    assert (plan.patterns, plan.covered, plan.include) == (("g|_Z.*1g.*",), 1.0, ("perfkit@decode/",))


def test_what_does_not_fit_the_time_is_left_out_and_said_to_be() -> None:
    second = 1_000_000_000
    kernels = [_kernel("nvjet_tst", 50 * second), _kernel("void g(char*)", 40 * second)]
    plan = _plan(kernels, limit=300.0)
    assert plan.launches == 1
    assert plan.seconds is not None and plan.seconds <= 300
    assert "1 of 2 kernels are left out" in plan.notes[0]


def test_ranges_are_the_outermost_or_the_named_one() -> None:
    regions = [_region("A"), _region("A/A1"), _region("B", instances=2), _region("x", domain="other")]
    timeline = _timeline([_kernel("nvjet_tst", 1)], regions)
    outermost = plan_ranges(timeline, NcuOptions(), passes=3, run_seconds=2.0, again=True)
    assert (outermost.include, outermost.ranges, outermost.seconds) == (("perfkit@A/", "perfkit@B/"), 3, 6.0)
    named = plan_ranges(timeline, NcuOptions(region="A/A1"), passes=3, run_seconds=2.0, again=False)
    assert (named.include, named.ranges) == (("perfkit@A/A1/",), 1)
    foreign = plan_ranges(timeline, NcuOptions(region="x"), passes=1, run_seconds=2.0, again=False)
    assert foreign.include == ("other@x/",)


def test_the_selection_finds_its_kernels_in_a_real_report() -> None:
    """By the function's name alone, among the mangled names that ncu recorded on an H200."""
    folder = Path(__file__).parents[2] / "docs/results/2026-11-21-h200-ncu/names"
    report = ncu_report.load_report(str(folder / "program.ncu-rep")).range_by_idx(0)
    actions = [report.action_by_idx(place) for place in range(report.num_actions())]
    names = {action.name(action.NameBase_MANGLED): action.name(action.NameBase_DEMANGLED) for action in actions}
    assert len(names) == 9
    for mangled, demangled in names.items():
        pattern = selection(_plan([_kernel(demangled, 1)]).patterns).removeprefix("regex:")
        found = {one for one in names if re.search(pattern, one)}
        assert mangled in found
        assert {function_of(names[one]) for one in found} == {function_of(demangled)}


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("void a::k<decltype(x->y), int>(int)", "k"),
        ("void (anonymous namespace)::k<a::b<3>>(a::c<4>*)", "k"),
        ("nvjet_tst_128x8", "nvjet_tst_128x8"),
    ],
)
def test_the_function_of_a_kernel_is_told_whatever_its_arguments(name: str, function: str) -> None:
    assert function_of(name) == function


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 10**12), st.sampled_from(["1,1,1", "2,1,1"]))))
def test_a_plan_covers_at_least_what_was_asked_for(rows: list[tuple[str, int, str]]) -> None:
    kernels = [_kernel(name, total, grid=grid) for name, total, grid in rows]
    if rows and all("nccl" in name for name, _, _ in rows):
        with pytest.raises(ToolError, match="all kernels are NCCL's"):
            _plan(kernels)
        return
    plan = _plan(kernels)
    if not rows:
        assert (plan.patterns, plan.launches) == ((), None)
        return
    total = sum(row.total_ns for row in kernels)
    eligible = sum(row.total_ns for row in kernels if "nccl" not in row.name)
    chosen = [row for row in kernels if plan.patterns and re.fullmatch("|".join(plan.patterns), function_of(row.name))]
    assert plan.covered * total >= 0.9 * eligible - 1
    assert plan.covered * total <= sum(row.total_ns for row in chosen) + 1
    assert plan.launches == sum(min(4, calls) for calls in Counter((row.name, row.grid) for row in chosen).values())
