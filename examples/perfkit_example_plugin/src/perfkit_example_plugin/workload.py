"""The workload made ready to run: inputs, one whole run with its regions, and what a run produces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfkit_core.regions import Regions
from perfkit_core.workload import BuildContext, Workload
from perfkit_example_plugin.estimate import dtype_of, size_of
from perfkit_example_plugin.options import MlpWorkload


class MlpRun(Workload):
    """Forward passes over one random batch; every pass is an instance of the stage ``forward``."""

    def __init__(self, context: BuildContext) -> None:
        if not isinstance(context.options, MlpWorkload):
            raise TypeError(f"expected MlpWorkload, got {type(context.options).__name__}")
        self._context = context
        self._options = context.options
        self._mlp = context.components["mlp"]
        self._batch: Any = None
        self._watched = False

    def prepare(self) -> None:
        """Draw the batch on the CPU, so that every device gets the same numbers."""
        import torch

        request, context = self._context.request, self._context
        generator = torch.Generator().manual_seed(context.seed)
        batch = torch.randn(self._options.batch_size, size_of(request).width, generator=generator)
        self._batch = batch.to(context.device, getattr(torch, dtype_of(request)))

    def step(self, regions: Regions) -> None:
        """Run all passes."""
        if not self._watched:
            regions.watch(self._mlp, "mlp")
            self._watched = True
        for _ in regions.loop("forward", self._options.passes):
            self._mlp(self._batch)

    def units(self) -> Mapping[str, float]:
        """Rows that come out of one whole run."""
        return {"rows": float(self._options.batch_size * self._options.passes)}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """The one batch."""
        rows, width = self._batch.shape
        return [{"name": "batch", "generator": "torch.randn", "seed": self._context.seed, "rows": rows, "width": width}]
