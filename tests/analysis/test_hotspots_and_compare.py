"""Hotspots and comparison over arbitrary cost trees: complete, exact, deterministic."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit_core import ops
from perfkit_core.analytic_report import analytic_report
from perfkit_core.compare import compare_runs
from perfkit_core.costtree import CostTree, MemoryEstimate, Node, Parameter
from perfkit_core.errors import MissingError, UsageError
from perfkit_core.hotspots import hotspots
from perfkit_core.ops import Tensor
from perfkit_core.rundir import Run

CATEGORIES = ("projection", "core", "norm", "container")
SIZES = st.integers(0, 10**9)

leaf_ops = st.one_of(
    st.builds(lambda m, k, calls: ops.linear(m, k, 8, "bfloat16", calls=calls), SIZES, SIZES, st.integers(0, 50)),
    st.builds(lambda s, calls: ops.attention(1, 4, s, s, 64, "float32", calls=calls), SIZES, st.integers(0, 50)),
    st.builds(lambda n: ops.elementwise("add", Tensor(n, "float32"), Tensor(n, "float32")), SIZES),
)


def _node(own, children, category):
    return Node(
        "block",
        category,
        1,
        ops=own,
        parameters=[Parameter(3, "float32")],
        children=[(f"child.{i}", child) for i, child in enumerate(children)],
    )


nodes = st.recursive(
    st.builds(_node, st.lists(leaf_ops, max_size=2), st.just([]), st.sampled_from(CATEGORIES)),
    lambda below: st.builds(
        _node, st.lists(leaf_ops, max_size=2), st.lists(below, max_size=3), st.sampled_from(CATEGORIES)
    ),
    max_leaves=12,
)
trees = st.lists(nodes, min_size=1, max_size=3).map(
    lambda found: CostTree(
        stages=[(f"stage{i}", node) for i, node in enumerate(found)],
        memory=MemoryEstimate(0, 0, {}, 0),
        geometry={},
    )
)


def run_of(tree, *, model="toy", workload="w", directory="a", **parameters):
    report = analytic_report(tree, model=model, variant="v", workload=workload, parameters=parameters)
    index = SimpleNamespace(kind="model", model=model, passes=[SimpleNamespace(backend="analytic")], files=())
    return a_run(directory, index, report)


def a_run(directory, index, report):
    run = Run(path=Path(directory), index=index)
    run.__dict__.update(report=report, metrics=None, profile=None)
    return run


def tree_of(**own):
    """Stage ``s`` with one child per argument; the value is that child's FLOPs, an even number."""
    children = [
        (name, Node("linear", name.rstrip("0123456789"), 1, ops=[ops.matmul(1, 1, 1, flops // 2, "float32")]))
        for name, flops in own.items()
    ]
    return CostTree([("s", Node("stage", "container", 1, children=children))], MemoryEstimate(0, 0, {}, 0), {})


def total_of(tree, by):
    cost = tree.total()
    return cost.flops if by == "flops" else cost.bytes_read + cost.bytes_written


@settings(max_examples=60, deadline=None)
@given(tree=trees, by=st.sampled_from(["flops", "bytes"]), top=st.integers(1, 8), categories=st.integers(1, 3))
def test_what_is_listed_and_the_rest_is_exactly_the_total(tree, by, top, categories):
    found = hotspots(run_of(tree), by=by, top=top, top_categories=categories)
    assert found.total == total_of(tree, by)
    assert sum(layer.value for layer in found.layers) + found.other_layers == found.total
    assert sum(category.value for category in found.categories) + found.other_categories == found.total
    assert len(found.layers) <= top
    assert len(found.categories) <= categories
    assert all(0 < layer.share <= 1 for layer in found.layers)
    everything = hotspots(run_of(tree), by=by, top=10_000, top_categories=100)
    assert everything.other_layers == everything.other_categories == 0
    assert everything.layers[:top] == found.layers
    keys = [(-layer.value, layer.path) for layer in everything.layers]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert hotspots(run_of(tree), by=by, top=top, top_categories=categories) == found
    assert type(found).model_validate_json(found.model_dump_json()) == found


@settings(max_examples=60, deadline=None)
@given(base=trees, head=trees, by=st.sampled_from(["flops", "bytes"]), top=st.integers(1, 8))
def test_the_contributors_account_for_the_whole_change(base, head, by, top):
    found = compare_runs(run_of(base), run_of(head), by=by, top=top)
    assert found.total.base == total_of(base, by)
    assert found.total.head == total_of(head, by)
    assert found.total.delta == found.total.head - found.total.base
    assert sum(row.delta for row in found.contributors) + found.other_contributors == found.total.delta
    assert sum(row.delta for row in found.categories) == found.total.delta
    everything = compare_runs(run_of(base), run_of(head), by=by, top=10_000)
    assert everything.other_contributors == 0
    assert everything.contributors[:top] == found.contributors
    keys = [(-abs(row.delta), row.path) for row in everything.contributors]
    assert keys == sorted(keys)
    assert all(row.delta == row.head - row.base != 0 for row in everything.contributors)
    if found.total.delta:
        # shares are floats, and large changes of opposite sign may cancel
        scale = sum(abs(row.share) for row in everything.contributors)
        assert sum(row.share for row in everything.contributors) == pytest.approx(1, abs=1e-12 * scale)
    assert type(found).model_validate_json(found.model_dump_json()) == found


@settings(max_examples=40, deadline=None)
@given(base=trees, head=trees)
def test_the_way_back_is_the_opposite_change(base, head):
    there = compare_runs(run_of(base), run_of(head), top=10_000)
    back = compare_runs(run_of(head), run_of(base), top=10_000)
    assert [(row.path, row.delta) for row in there.contributors] == [
        (row.path, -row.delta) for row in back.contributors
    ]


@settings(max_examples=30, deadline=None)
@given(tree=trees)
def test_a_run_does_not_differ_from_itself(tree):
    found = compare_runs(run_of(tree), run_of(tree))
    assert found.contributors == found.categories == ()
    assert found.workload_changes == {}
    assert "the same" in found.verdict


def test_equal_layers_rank_by_path_whatever_their_order():
    for order in itertools.permutations(("b", "c", "a")):
        found = hotspots(run_of(tree_of(**dict.fromkeys(order, 10))), top=2)
        assert [layer.path for layer in found.layers] == ["s/a", "s/b"]
        assert [category.name for category in found.categories] == ["a", "b", "c"]


def test_own_values_are_ranked_so_a_parent_never_repeats_its_children():
    inner = Node("linear", "inner", 1, ops=[ops.matmul(1, 1, 1, 50, "float32")])
    outer = Node("block", "outer", 1, ops=[ops.matmul(1, 1, 1, 10, "float32")], children=[("inner", inner)])
    found = hotspots(run_of(CostTree([("s", outer)], MemoryEstimate(0, 0, {}, 0), {})))
    assert [(layer.path, layer.value) for layer in found.layers] == [("s/inner", 100), ("s", 20)]
    assert found.total == 120


def test_values_beyond_64_bits_stay_exact():
    big = 2 * (10**24 + 1)
    found = hotspots(run_of(tree_of(a=big, b=2)), top=1)
    assert found.layers[0].value == big
    assert found.other_layers == 2


def test_time_is_missing_and_the_message_says_which_passes_there_were():
    with pytest.raises(MissingError) as caught:
        hotspots(run_of(tree_of(a=2)), by="time")
    assert "none of its passes (analytic) measured it" in caught.value.message
    assert "flops or bytes" in caught.value.fix
    with pytest.raises(MissingError):
        compare_runs(run_of(tree_of(a=2)), run_of(tree_of(a=2)), by="time")


@pytest.mark.parametrize("bad", [0, -1, True, 2.5])
def test_a_list_length_below_one_is_refused(bad):
    with pytest.raises(UsageError, match="--top"):
        hotspots(run_of(tree_of(a=2)), top=bad)
    with pytest.raises(UsageError, match="--top"):
        compare_runs(run_of(tree_of(a=2)), run_of(tree_of(a=2)), top=bad)


def test_an_unknown_measure_suggests_the_nearest():
    with pytest.raises(UsageError) as caught:
        hotspots(run_of(tree_of(a=2)), by="flop")
    assert "flops" in caught.value.fix


def test_a_run_without_an_analytic_report_says_so():
    run = run_of(tree_of(a=2))
    run.__dict__["report"] = None
    with pytest.raises(MissingError, match=r"analytic/report\.json"):
        hotspots(run)


def test_different_models_are_refused_with_both_names():
    with pytest.raises(UsageError) as caught:
        compare_runs(run_of(tree_of(a=2), model="one", directory="x"), run_of(tree_of(a=2), model="two", directory="y"))
    assert all(word in caught.value.message for word in ("x is one", "y is two"))


def test_modules_of_one_run_only_count_as_zero_in_the_other():
    found = compare_runs(run_of(tree_of(a=10, gone=4)), run_of(tree_of(a=10, new=6)))
    assert [(row.path, row.base, row.head, row.delta, row.share) for row in found.contributors] == [
        ("s/new", 0, 6, 6, 3.0),
        ("s/gone", 4, 0, -4, -2.0),
    ]


def test_parameters_workload_and_variant_changes_are_listed():
    base = run_of(tree_of(a=2), workload="small", frames=16, steps=50)
    head = run_of(tree_of(a=4), workload="large", frames=81, steps=50, extra=True)
    found = compare_runs(base, head)
    assert {name: (change.base, change.head) for name, change in found.workload_changes.items()} == {
        "extra": (None, True),
        "frames": (16, 81),
        "workload": ("small", "large"),
    }
    assert found.relative_change == 1.0


def test_the_verdict_follows_the_data():
    def verdict(base, head, **parameters):
        return compare_runs(run_of(tree_of(**base), steps=1), run_of(tree_of(**head), **parameters)).verdict

    rises = verdict({"core": 1000, "norm": 100}, {"core": 3000, "norm": 100}, steps=2)
    assert "FLOPs rise from 1.100 KFLOP to 3.100 KFLOP (+181.8 %)" in rises
    assert "mostly in core (100.0 % of the change)" in rises
    assert "steps 1 → 2" in rises
    assert "FLOPs fall from 3.100 KFLOP to 100 FLOP (-96.8 %)" in verdict({"core": 3000, "norm": 100}, {"norm": 100})
    moved = verdict({"core": 10, "norm": 20}, {"core": 20, "norm": 10}, steps=1)
    assert "the same in total (30 FLOP), but 2 modules differ, mostly in core" in moved
    assert "with the same workload" in moved
    nothing_before = compare_runs(run_of(tree_of(core=0)), run_of(tree_of(core=6)))
    assert nothing_before.relative_change is None
    assert "rise from 0 FLOP to 6 FLOP, mostly in core" in nothing_before.verdict


def test_another_architecture_is_listed_first_and_named():
    base, head = tree_of(a=10), tree_of(a=20)._replace(architecture="/ckpt")
    found = compare_runs(run_of(base, height=1), run_of(head, height=2))
    assert list(found.workload_changes) == ["architecture", "height"]
    assert (found.workload_changes["architecture"].base, found.workload_changes["architecture"].head) == (
        "bundled",
        "/ckpt",
    )
    assert "with architecture bundled → /ckpt, height 1 → 2" in found.verdict


def test_shares_are_zero_where_changes_cancel():
    found = compare_runs(run_of(tree_of(a=10, b=20)), run_of(tree_of(a=20, b=10)))
    assert found.total.delta == 0
    assert [(row.name, row.delta, row.share) for row in found.categories] == [("a", 10, 0.0), ("b", -10, 0.0)]
    assert [(row.path, row.delta, row.share) for row in found.contributors] == [("s/a", 10, 0.0), ("s/b", -10, 0.0)]
    assert "the same in total" in found.verdict
