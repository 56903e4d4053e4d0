"""Nodes of modules that a run calls with several shapes: views of several sizes, prompts of several lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, sharing_weights
from perfkit_deepseek_ocr.geometry import Geometry, View

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class CallShapes(Generic[Shape]):
    """The call shapes of a group of modules.

    Attributes:
        calls: Distinct shapes and how often the run makes a call of each, the largest last.
        dtype: Element type of the model.
        owner: Whether these nodes hold the parameters; otherwise other nodes of the same modules do.
    """

    calls: tuple[tuple[Shape, int], ...]
    dtype: str
    owner: bool = True

    @property
    def total(self) -> int:
        """Calls of the whole run."""
        return sum(times for _, times in self.calls)

    def node(
        self,
        kind: str,
        category: str,
        ops: Callable[[Shape], Sequence[Op | None]] | None = None,
        *,
        parameters: Sequence[Parameter] = (),
        children: Sequence[tuple[str, Node]] = (),
    ) -> Node:
        """Return a module that every call reaches once.

        Args:
            ops: One shape to the operations of one call: as many for every shape, None for one that a shape
                does without.
        """
        listed: list[Op] = []
        shapes: list[int] = []
        for of_shapes in zip(*self._operations(ops), strict=True) if ops else ():
            distinct = _distinct([op for op in of_shapes if op is not None])
            if distinct:
                kept = 1 if self.owner else 0
                listed += [*distinct[:kept], *map(sharing_weights, distinct[kept:])]
                shapes.append(len(distinct))
        return Node(
            kind,
            category,
            self.total,
            ops=listed,
            parameters=parameters if self.owner else (),
            children=children,
            shapes=shapes,
        )

    def _operations(self, ops: Callable[[Shape], Sequence[Op | None]]) -> Iterable[list[Op | None]]:
        for shape, times in self.calls:
            yield [op and op._replace(calls=op.calls * times) for op in ops(shape)]


def _distinct(listed: Sequence[Op]) -> list[Op]:
    """Return the operations with those of one shape added up, in their order."""
    found: list[Op] = []
    for op in listed:
        for index, known in enumerate(found):
            if known._replace(calls=op.calls) == op:
                found[index] = op._replace(calls=op.calls + known.calls)
                break
        else:
            found.append(op)
    return found


Views = CallShapes[View]
"""Images of one size that go through the vision encoders in one call."""


def views_of(geometries: Sequence[Geometry]) -> Views:
    """Return the calls that a run makes of the vision encoders, the one with the most patches last."""
    counted: Counter[View] = Counter()
    for geometry in geometries:
        for view in geometry.views:
            counted[view] += geometry.batches
    ordered = sorted(counted.items(), key=lambda entry: entry[0].patches)
    return Views(tuple(ordered), geometries[0].dtype)
