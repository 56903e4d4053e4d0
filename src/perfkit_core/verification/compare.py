"""Joining a cost tree with what was counted: one verdict per module, nothing left out on either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from perfkit_core.costtree import CostTree, Node
from perfkit_core.schema.consistency import relative_difference
from perfkit_core.schema.verify import BytesRecord, EndToEnd, LayerRecord, Unmatched, Verdict, VerifyReport
from perfkit_core.verification.count import CountedModule

_NOTHING = Node("", "", 0)


def compare_tree(
    tree: CostTree,
    counted: Mapping[str, CountedModule],
    *,
    model: str,
    variant: str,
    workload: str,
    tolerance: float,
    methods: tuple[str, ...],
) -> VerifyReport:
    """Compare every module and return the report; ``tolerance`` is the largest accepted relative difference."""
    nodes = dict(tree.rows())
    above = _nodes_above(counted)
    layers: list[LayerRecord] = []
    unmatched: list[Unmatched] = []
    for path, module in counted.items():
        node = nodes.get(path)
        layers.append(_layer(path, node, module, tolerance))
        if layers[-1].verdict == "unmatched":
            unmatched.append(Unmatched(path=path, side="counted", flops=module.flops or 0))
    for path, node in nodes.items():
        # A stage or step above the references is no module: it needs no count unless it claims work of its own.
        claims = node.own.flops or node.own.parameters if path in above else node.inclusive.flops or node.own.parameters
        if path not in counted and claims:
            layers.append(_layer(path, node, None, tolerance))
            unmatched.append(Unmatched(path=path, side="expected", flops=node.inclusive.flops))
    end_to_end = _end_to_end(tree, counted)
    passed = not unmatched and all(layer.verdict != "over" for layer in layers)
    passed = passed and max(end_to_end.relative_difference, _parameters_difference(end_to_end)) <= tolerance
    return VerifyReport(
        model=model,
        variant=variant,
        workload=workload,
        passed=passed,
        tolerance=tolerance,
        modules=len(layers),
        counted_modules=sum(module.flops is not None for module in counted.values()),
        mismatched=sum(layer.verdict != "equal" for layer in layers),
        max_relative_difference=max(
            end_to_end.relative_difference, _parameters_difference(end_to_end), *(_worst(layer) for layer in layers)
        ),
        max_bytes_difference=max((_worst_bytes(layer.bytes) for layer in layers), default=0.0),
        unmatched=tuple(unmatched),
        layers=tuple(layers),
        end_to_end=end_to_end,
        methods=methods,
    )


def _layer(path: str, node: Node | None, module: CountedModule | None, tolerance: float) -> LayerRecord:
    expected_node = node or _NOTHING
    counted_flops = (module.flops or 0) if module else 0
    counted_parameters = module.parameters if module else 0
    expected, parameters = expected_node.inclusive.flops, expected_node.inclusive.parameters
    traced = _bytes(expected_node, module.nbytes) if module else ()
    calls_counted = module.calls if module and module.calls is not None else expected_node.calls
    calls_expected = expected_node.calls if node else calls_counted
    worst = max(
        relative_difference(expected, counted_flops),
        relative_difference(parameters, counted_parameters),
        relative_difference(calls_expected, calls_counted),
        _worst_bytes(traced),
    )
    # A called module without a node matters when it holds or computes something; otherwise it is 0 = 0.
    alone = (node is None and bool(counted_flops or counted_parameters)) or module is None
    return LayerRecord(
        path=path,
        calls=calls_counted if module else 0,
        calls_expected=calls_expected,
        expected=expected,
        counted=counted_flops,
        relative_difference=relative_difference(expected, counted_flops),
        parameters_expected=parameters,
        parameters_counted=counted_parameters,
        bytes=traced,
        verdict=_verdict(alone, worst, tolerance),
    )


def _verdict(alone: bool, worst: float, tolerance: float) -> Verdict:
    if alone:
        return "unmatched"
    if not worst:
        return "equal"
    return "within" if worst <= tolerance else "over"


def _bytes(node: Node, traced: Counter[str]) -> tuple[BytesRecord, ...]:
    """Compare own bytes per kind, except where the module is a norm or writes its attention out.

    An ideal norm is one pass; the reference may spell it as many element-wise operators. Attention that
    is not a call of ``scaled_dot_product_attention`` appears as products and element-wise operators. Experts
    in a form that the counter sees gather their weights once per row, where a grouped kernel reads them once.
    """
    expected: Counter[str] = Counter()
    for op in node.ops:
        kind = "linear" if op.kind == "matmul" else op.kind
        expected[kind] += (op.bytes_read + op.bytes_written) * op.calls
    skipped = {"norm"}
    if "norm" in expected:
        skipped.add("elementwise")
    if "attention" in expected and not traced["attention"]:
        skipped |= {"attention", "linear", "elementwise"}
    if "expert_linear" in expected:
        skipped |= {"expert_linear", "linear"}
    kinds = sorted({*expected, *(kind for kind, number in traced.items() if number)} - skipped)
    return tuple(BytesRecord(kind=kind, expected=expected[kind], counted=traced[kind]) for kind in kinds)


def _worst(layer: LayerRecord) -> float:
    return max(layer.relative_difference, relative_difference(layer.parameters_expected, layer.parameters_counted))


def _worst_bytes(records: tuple[BytesRecord, ...]) -> float:
    return max((relative_difference(record.expected, record.counted) for record in records), default=0.0)


def _nodes_above(counted: Mapping[str, CountedModule]) -> set[str]:
    """Paths that only group references (stages, steps): they are no modules and need no count."""
    above: set[str] = set()
    for path in counted:
        parent = path.rpartition("/")[0]
        while parent and parent not in above:
            above.add(parent)
            parent = parent.rpartition("/")[0]
    return above - counted.keys()


def _parameters_difference(whole: EndToEnd) -> float:
    return relative_difference(whole.parameters_expected, whole.parameters_counted)


def _end_to_end(tree: CostTree, counted: Mapping[str, CountedModule]) -> EndToEnd:
    roots = [path for path in counted if not any(path.startswith(other + "/") for other in counted)]
    total = tree.total()
    flops = sum(counted[path].flops or 0 for path in roots)
    return EndToEnd(
        expected=total.flops,
        counted=flops,
        relative_difference=relative_difference(total.flops, flops),
        parameters_expected=total.parameters,
        parameters_counted=sum(counted[path].parameters for path in roots),
    )
