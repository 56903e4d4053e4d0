"""The demo itself: matrix products inside the ranges, element-wise work outside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.regions import Regions
from perfkit_core.specs import ModelRequest
from perfkit_core.workload import BuildContext, Workload
from perfkit_nsight.three_ranges.estimate import ThreeRangesWorkload, dtype_of


def load(request: ModelRequest) -> Mapping[str, Any]:
    """Return nothing: the matrices are as large as the workload says, and made with it."""
    return {}


class ThreeRangesRun(Workload):
    """One matrix product in each of the ranges ``A``, ``A/A1`` and ``B``."""

    def __init__(self, context: BuildContext) -> None:
        if not isinstance(context.options, ThreeRangesWorkload):
            raise TypeError(f"expected ThreeRangesWorkload, got {type(context.options).__name__}")
        self._context, self._width = context, context.options.width
        self._matrices: Any = None

    def prepare(self) -> None:
        """Draw an input and three weights.

        Raises:
            MissingError: torch is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingError(f"three_ranges needs torch: {error}", fix="pip install torch") from None
        generator = torch.Generator().manual_seed(self._context.seed)
        shape, dtype = (4, self._width, self._width), getattr(torch, dtype_of(self._context.request))
        self._matrices = (torch.randn(shape, generator=generator) / self._width**0.5).to(self._context.device, dtype)

    def step(self, regions: Regions) -> None:
        """Run the three products, with work before, between and after the ranges."""
        given, first, inner, second = self._matrices
        value = given.abs()
        with regions.region("A"):
            value = value @ first
            with regions.region("A1"):
                value = value @ inner
        value = value.relu()
        with regions.region("B"):
            value = value @ second
        value.neg_()

    def units(self) -> Mapping[str, float]:
        """Three matrix products."""
        return {"products": 3.0}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """The four matrices."""
        return [{"name": "matrices", "generator": "torch.randn", "seed": self._context.seed, "width": self._width}]
