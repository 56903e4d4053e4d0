"""Joining a cost tree with counts: every kind of disagreement is seen and named."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit_core import ops
from perfkit_core.costtree import CostTree, MemoryEstimate, Node, Parameter
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.verification.compare import compare_tree, relative_difference
from perfkit_core.verification.count import CountedModule

LINEAR = ops.linear(10, 64, 64, "bfloat16", calls=2)
NBYTES = 2 * (LINEAR.bytes_read + LINEAR.bytes_written)


def tree(rows: int = 10, *, calls: int = 2, extra: bool = False) -> CostTree:
    linear = ops.linear(rows, 64, 64, "bfloat16", calls=calls)
    children = [("fc", Node("linear", "mlp", calls, ops=[linear]))]
    if extra:
        children.append(("ghost", Node("linear", "mlp", calls, ops=[linear])))
    net = Node("block", "mlp", calls, children=children)
    return CostTree(
        stages=[("stage", Node("stage", "container", 1, children=[("net", net)]))],
        memory=MemoryEstimate(0, 0, {"stage": 0}, 0),
        geometry={},
    )


def counted(**changes: object) -> dict[str, CountedModule]:
    flops, parameters = 2 * LINEAR.flops, LINEAR.parameters
    modules = {
        "stage/net": CountedModule(2, flops, parameters),
        "stage/net/fc": CountedModule(2, flops, parameters, Counter(linear=NBYTES)),
    }
    for name, value in changes.items():
        setattr(modules["stage/net/fc"], name, value)
    return modules


def compare(tree: CostTree, modules: dict[str, CountedModule], tolerance: float = 0.05) -> VerifyReport:
    return compare_tree(tree, modules, model="m", variant="v", workload="w", tolerance=tolerance, methods=())


def verdicts(report: VerifyReport) -> dict[str, str]:
    return {layer.path: layer.verdict for layer in report.layers}


def test_equal() -> None:
    report = compare(tree(), counted())
    assert verdicts(report) == {"stage/net": "equal", "stage/net/fc": "equal"}
    assert (report.passed, report.mismatched, report.max_relative_difference, report.unmatched) == (True, 0, 0.0, ())
    assert report.end_to_end.expected == report.end_to_end.counted == 2 * LINEAR.flops
    assert VerifyReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("change", "within"),
    [
        ({"flops": 2 * LINEAR.flops - 1}, True),
        ({"flops": LINEAR.flops}, False),
        ({"parameters": LINEAR.parameters + 1}, True),
        ({"parameters": 0}, False),
        ({"calls": 3}, False),
        ({"nbytes": Counter(linear=NBYTES + 2)}, True),
        ({"nbytes": Counter(linear=NBYTES, elementwise=4)}, False),
        ({"nbytes": Counter()}, False),
    ],
)
def test_any_difference_is_no_longer_equal(change: dict[str, object], within: bool) -> None:
    report = compare(tree(), counted(**change))
    assert verdicts(report)["stage/net/fc"] == ("within" if within else "over")
    assert report.mismatched >= 1
    assert report.passed is within
    assert not compare(tree(), counted(**change), tolerance=0.0).passed


def test_a_counted_module_without_node_is_unmatched() -> None:
    modules = counted() | {"stage/net/new": CountedModule(1, 7, 0)}
    report = compare(tree(), modules)
    assert [(one.path, one.side, one.flops) for one in report.unmatched] == [("stage/net/new", "counted", 7)]
    assert not report.passed


def test_a_called_module_without_work_needs_no_node() -> None:
    report = compare(tree(), counted() | {"stage/net/dropout": CountedModule(2)})
    layer = report.layers[-1]
    assert (layer.path, layer.expected, layer.counted, report.passed) == ("stage/net/dropout", 0, 0, True)


def test_a_node_with_work_that_was_never_counted_is_unmatched() -> None:
    report = compare(tree(extra=True), counted())
    assert [(one.path, one.side) for one in report.unmatched] == [("stage/net/ghost", "expected")]
    assert not report.passed


@pytest.mark.parametrize(
    "claim",
    [{"parameters": [Parameter(10**9, "float32")]}, {"ops": [ops.linear(1, 64, 64, "float32")]}],
    ids=["parameters", "work"],
)
def test_a_stage_that_claims_work_of_its_own_is_unmatched(claim: dict[str, object]) -> None:
    below = tree().stages[0][1].children
    stage = Node("stage", "container", 1, children=below, **claim)  # type: ignore[arg-type]
    report = compare(tree()._replace(stages=[("stage", stage)]), counted(), tolerance=1.0)
    assert [(one.path, one.side) for one in report.unmatched] == [("stage", "expected")]
    assert not report.passed
    assert report.max_relative_difference > 0


def test_end_to_end_alone_fails_a_report() -> None:
    """A counted root that no node stands for, in a tree whose other modules all agree."""
    modules = counted() | {"elsewhere": CountedModule(1, 10**12, 0)}
    report = compare(tree(), modules, tolerance=0.5)
    assert report.end_to_end.relative_difference > 0.5
    assert not report.passed


def test_norms_are_ideal_and_not_compared_by_bytes() -> None:
    norm = Node("norm", "norm", 1, ops=[ops.rms_norm(4, 8, "bfloat16")])
    one = CostTree(stages=[("norm", norm)], memory=MemoryEstimate(0, 0, {}, 0), geometry={})
    report = compare(one, {"norm": CountedModule(1, None, 8, Counter(elementwise=12345))})
    assert report.mismatched == 0
    assert report.layers[0].bytes == ()


@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_relative_difference_is_symmetric_bounded_and_zero_only_when_equal(left: int, right: int) -> None:
    value = relative_difference(left, right)
    assert value == relative_difference(right, left)
    assert 0 <= value <= 1
    if left == right:
        assert value == 0
    elif abs(left - right) * 2**60 > max(left, right):
        assert value > 0
