"""The real perceptron: on torch's meta device to be counted, on a CPU or GPU to be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.specs import ModelRequest
from perfkit_example_plugin.estimate import dtype_of, size_of
from perfkit_example_plugin.options import MlpWorkload


def build_modules(request: ModelRequest) -> Mapping[str, Any]:
    """Return ``mlp`` on the request's device: on ``meta`` without weights, elsewhere with random ones from the seed.

    Raises:
        MissingError: torch is not installed.
    """
    size, dtype = size_of(request), dtype_of(request)
    try:
        import torch
    except ImportError as error:
        raise MissingError(
            f"the real example_mlp needs torch: {error}", fix="pip install 'perfkit-example-plugin[torch]'"
        ) from None
    mlp = torch.nn.Sequential()
    torch.manual_seed(request.seed)
    placed = {"device": request.device, "dtype": getattr(torch, dtype)}
    mlp.add_module("fc1", torch.nn.Linear(size.width, size.hidden, **placed))
    mlp.add_module("act", torch.nn.GELU())
    mlp.add_module("fc2", torch.nn.Linear(size.hidden, size.width, **placed))
    return {"mlp": mlp}


def references(request: ModelRequest, workload: MlpWorkload) -> Iterable[Reference]:
    """Return the perceptron and the call that a run makes of it, as often as the workload has passes.

    Raises:
        MissingError: torch is not installed.
    """
    width, rows, dtype = size_of(request).width, workload.batch_size, dtype_of(request)

    def forward(module: Any) -> object:
        import torch

        return module(torch.empty(rows, width, dtype=getattr(torch, dtype), device="meta"))

    calls = (ReferenceCall(run=forward, times=workload.passes),)
    return [Reference(path="forward/mlp", module=build_modules(request)["mlp"], calls=calls)]
