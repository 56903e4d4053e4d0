"""Verifying a model: references that count nothing, or one module twice, prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from perfkit_core import ops
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.errors import CheckFailed, MissingError
from perfkit_core.options import Options
from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.specs import AnalyticSpec, ModelRequest
from perfkit_core.verification.run import verify_model


def estimate(request: ModelRequest, workload: Any) -> CostTree:
    node = Node("linear", "mlp", 1, ops=[ops.linear(2, 8, 4, "float32")])
    return CostTree(stages=[("fc", node)], memory=MemoryEstimate(0, 0, {"fc": 0}, 0), geometry={})


def reference(path: str = "fc") -> Reference:
    with torch.device("meta"):
        module, x = torch.nn.Linear(8, 4), torch.empty(2, 8)
    return Reference(path=path, module=module, calls=[ReferenceCall(run=lambda linear: linear(x))])


def verify(references: Callable[..., Iterable[Reference]] | None) -> VerifyReport:
    return verify_model(
        AnalyticSpec(model="m", estimate=estimate, references=references),
        ModelRequest(variant="v", options=Options()),
        Options(),
        workload_name="w",
        tolerance=0.05,
        progress=lambda line: None,
    )


def test_one_reference() -> None:
    report = verify(lambda request, workload: [reference()])
    assert (report.passed, report.mismatched) == (True, 0)


def test_no_references_at_all() -> None:
    with pytest.raises(MissingError, match="no reference implementation"):
        verify(None)


@pytest.mark.parametrize("calls", [None, []])
def test_references_that_count_nothing(calls: list[ReferenceCall] | None) -> None:
    def references(request: ModelRequest, workload: Any) -> list[Reference]:
        return [] if calls is None else [Reference(path="fc", module=reference().module, calls=calls)]

    with pytest.raises(CheckFailed, match="nothing was verified"):
        verify(references)


def test_one_module_in_two_references() -> None:
    with pytest.raises(CheckFailed, match="two references of 'm' count fc"):
        verify(lambda request, workload: [reference(), reference()])
