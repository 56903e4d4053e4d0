"""Nodes of the vision encoders, which one batch of pages calls once per view size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, sharing_weights
from perfkit_deepseek_ocr.geometry import Geometry, View


@dataclass(frozen=True)
class Views:
    """The call shapes of every vision module.

    Attributes:
        views: Distinct view sizes, the one with the most patches last.
        calls: How often the run makes each of these calls.
        dtype: Element type of the model.
    """

    views: tuple[View, ...]
    calls: int
    dtype: str

    @classmethod
    def of(cls, geometry: Geometry) -> Views:
        """Return the call shapes of a workload."""
        return cls(tuple(sorted(geometry.views, key=lambda view: view.patches)), geometry.batches, geometry.dtype)

    def node(
        self,
        kind: str,
        category: str,
        ops: Callable[[View], Sequence[Op | None]] | None = None,
        *,
        parameters: Sequence[Parameter] = (),
        children: Sequence[tuple[str, Node]] = (),
    ) -> Node:
        """Return a module that is called once per view.

        Args:
            ops: One view to its operations: as many for every view, None for one that a view does without.
        """
        per_operation = zip(*(ops(view) for view in self.views), strict=True) if ops else ()
        listed: list[Op] = []
        shapes: list[int] = []
        for of_views in per_operation:
            present = [op for op in of_views if op is not None]
            if present:
                listed += [present[0], *map(sharing_weights, present[1:])]
                shapes.append(len(present))
        return Node(
            kind,
            category,
            self.calls * len(self.views),
            ops=listed,
            parameters=parameters,
            children=children,
            shapes=shapes,
        )
