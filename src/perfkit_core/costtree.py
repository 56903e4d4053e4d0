"""The cost tree: what every called module of a model costs, and how the costs add up.

A plugin declares a tree of ``Node`` objects, one per *called* module of the real implementation, each
with its own operations. Identical subtrees are one shared object used under several names. The values
of a node are for the whole run: per call x calls. Totals are the sum of ``own`` over all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from perfkit_core.ops import DTYPE_BYTES, Op


class Cost(NamedTuple):
    """Additive values of a node.

    Attributes:
        flops: Matrix-product, convolution and attention FLOPs of the whole run.
        elementwise_flops: All other arithmetic of the whole run.
        parameters: Number of parameters.
        weight_bytes: Bytes of those parameters in memory.
        bytes_read: Least bytes read in the whole run, weights included at every call.
        bytes_written: Least bytes written in the whole run.
        activation_bytes: Activations read and written by one call of each operation; where an
            operation is called with several shapes, by the last one listed. Does not grow with steps.
    """

    flops: int = 0
    elementwise_flops: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    activation_bytes: int = 0


class Parameter(NamedTuple):
    """Parameters that a module holds itself, outside any operation.

    Attributes:
        elements: How many.
        dtype: Their element type.
    """

    elements: int
    dtype: str


class Node:
    """One called module: its own operations and parameters, and the modules called inside it.

    Args:
        kind: What the module is: ``linear``, ``conv``, ``attention``, ``norm``, ``block``, ``stage``…
        category: The group that hotspots and comparisons add the own values to.
        calls: How often the whole run calls the module; 0 for one that only holds parameters.
        ops: Operations that run in the module's forward outside any called child. Several shapes of
            one operation are several entries.
        parameters: Parameters held outside any operation, such as a modulation table.
        children: Pairs of path segment and node, in call order. A node may appear under many names.
        shapes: How many consecutive ``ops`` are call shapes of one and the same operation, the largest
            last (a convolution called with a short first chunk and longer ones); one number for all
            operations, or one per operation.
    """

    __slots__ = ("calls", "category", "children", "inclusive", "kind", "ops", "own")

    own: Cost
    inclusive: Cost

    def __init__(
        self,
        kind: str,
        category: str,
        calls: int,
        *,
        ops: Sequence[Op] = (),
        parameters: Sequence[Parameter] = (),
        children: Sequence[tuple[str, Node]] = (),
        shapes: int | Sequence[int] = 1,
    ) -> None:
        self.kind = kind
        self.category = category
        self.calls = calls
        self.ops = ops
        self.children = children
        self.own = _own_cost(ops, parameters, shapes)
        self.inclusive = add_costs([self.own, *(child.inclusive for _, child in children)]) if children else self.own


ModuleCost = tuple[str, Node]
"""One row of the analytic view: a region path and the node that stands there."""


LIBRARY_WORKSPACE = 48 * 2**20
"""Bytes that the matrix-product libraries keep on a GPU once they have run, beside weights and activations.

Measured on an H200 with torch 2.11: what was allocated between two runs, less weights and inputs, was 48.04 MiB
(docs/results, 2026-11-21-h200-deepseek_ocr)."""


class MemoryEstimate(NamedTuple):
    """Device memory of the run, in bytes.

    Attributes:
        weight_bytes: Weights resident at the peak.
        kv_cache_bytes: Key/value cache at the end of the run; 0 for diffusion transformers.
        activation_bytes: Peak of live activations per stage, weights excluded.
        peak_bytes: Estimate of the largest allocation: weights, cache and activations together.
        resident_bytes: Weights resident during each stage; without an entry ``weight_bytes``.
        stage_bytes: The largest allocation of each stage, weights included; without an entry what is resident and its
            activations.
    """

    weight_bytes: int
    kv_cache_bytes: int
    activation_bytes: Mapping[str, int]
    peak_bytes: int
    resident_bytes: Mapping[str, int] = MappingProxyType({})
    stage_bytes: Mapping[str, int] = MappingProxyType({})

    def resident(self, stage: str) -> int:
        """Return the bytes of the weights that are on the device during a stage."""
        return self.resident_bytes.get(stage, self.weight_bytes)

    def peak(self, stage: str) -> int:
        """Return the largest allocation of a stage, in bytes."""
        return self.stage_bytes.get(stage, self.resident(stage) + self.activation_bytes.get(stage, 0))


class CostTree(NamedTuple):
    """The analytic answer for one model on one workload.

    Attributes:
        stages: Pairs of stage name and its node; the top of every region path.
        memory: Memory of the run.
        geometry: Derived sizes worth showing, such as tokens and latent frames.
        notes: What the reader must know about this workload, such as a floored frame count.
        not_modelled: What the run does that these costs leave out.
        architecture: Where the architecture was read from: ``bundled:NAME`` or a checkpoint directory.
    """

    stages: Sequence[tuple[str, Node]]
    memory: MemoryEstimate
    geometry: Mapping[str, int]
    notes: Sequence[str] = ()
    not_modelled: Sequence[str] = ()
    architecture: str = "bundled"

    def rows(self) -> list[ModuleCost]:
        """Return every module of every stage, parents before children."""
        rows: list[ModuleCost] = []
        for name, node in self.stages:
            rows.append((name, node))
            _place(rows, name, node)
        return rows

    def total(self) -> Cost:
        """Return the sum over all stages, which equals the sum of ``own`` over all rows."""
        return add_costs([node.inclusive for _, node in self.stages])


def add_costs(costs: Iterable[Cost]) -> Cost:
    """Return the field-wise sum of ``costs``; at least one is needed."""
    return Cost(*map(sum, zip(*costs, strict=True)))


def _own_cost(ops: Sequence[Op], parameters: Sequence[Parameter], shapes: int | Sequence[int]) -> Cost:
    flops = elementwise = count = weight = read = written = 0
    activations: list[int] = []
    for op in ops:
        calls = op.calls
        flops += op.flops * calls
        elementwise += op.elementwise_flops * calls
        read += op.bytes_read * calls
        written += op.bytes_written * calls
        count += op.parameters
        weight += op.weight_bytes
        activations.append(op.bytes_read - op.weight_bytes_read + op.bytes_written)
    for elements, dtype in parameters:
        count += elements
        weight += elements * DTYPE_BYTES[dtype]
    if isinstance(shapes, int):
        largest = activations[shapes - 1 :: shapes]
    else:
        largest = [activations[end - 1] for end in accumulate(shapes)]
    return Cost(flops, elementwise, count, weight, read, written, sum(largest))


def _place(rows: list[ModuleCost], path: str, node: Node) -> None:
    """Append the rows below ``node``; a subtree that stands there several times is walked once."""
    walked: dict[int, list[ModuleCost]] = {}
    for segment, child in node.children:
        below = f"{path}/{segment}"
        rows.append((below, child))
        if child.children:
            suffixes = walked.get(id(child))
            if suffixes is None:
                start = len(rows)
                _place(rows, below, child)
                cut = len(below)
                walked[id(child)] = [(row[cut:], found) for row, found in rows[start:]]
            else:
                rows += [(below + suffix, found) for suffix, found in suffixes]
