"""Verifying one model on one workload, inside the worker process."""

from __future__ import annotations

from collections.abc import Callable

from torch.nn import Parameter

from perfkit_core.errors import CheckFailed, MissingError
from perfkit_core.options import Options
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.specs import AnalyticSpec, ModelRequest
from perfkit_core.verification.compare import compare_tree
from perfkit_core.verification.count import CountedModule, count

METHOD = (
    "FLOPs by torch.utils.flop_counter.FlopCounterMode on the meta device; parameters by numel(); "
    "bytes by a dispatch-mode tracer"
)


def verify_model(
    analytic: AnalyticSpec,
    request: ModelRequest,
    workload: Options,
    *,
    workload_name: str,
    tolerance: float,
    progress: Callable[[str], None],
) -> VerifyReport:
    """Count every reference of the model and compare it with the cost tree.

    Raises:
        MissingError: The plugin gives no reference.
        CheckFailed: A reference cannot be trusted, or nothing was counted.
    """
    if analytic.references is None:
        raise MissingError(
            f"model {analytic.model!r} has no reference implementation to verify against",
            fix="its plugin must give AnalyticSpec(references=...)",
        )
    tree = analytic.estimate(request, workload)
    counted: dict[str, CountedModule] = {}
    seen: dict[int, Parameter] = {}
    methods = [METHOD]
    for reference in analytic.references(request, workload):
        progress(f"counting {reference.path}")
        found = count(reference, seen)
        twice = sorted(counted.keys() & found.keys())
        if twice:
            raise CheckFailed(
                f"two references of {analytic.model!r} count {twice[0]}", fix="give each module to one reference"
            )
        counted |= found
        if reference.note:
            methods.append(f"{reference.path}: {reference.note}")
    if not any(module.calls or module.flops for module in counted.values()):
        raise CheckFailed(
            f"the references of {analytic.model!r} made no call: nothing was verified",
            fix="AnalyticSpec(references=...) must yield a Reference with at least one ReferenceCall",
        )
    return compare_tree(
        tree,
        counted,
        model=analytic.model,
        variant=request.variant,
        workload=workload_name,
        tolerance=tolerance,
        methods=tuple(methods),
    )
