"""Peak of live tensor bytes on the meta device: an allocation tracker to hold memory formulas against."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Adds up the storages that operators create and drops them when Python lets go of them."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: set[int] = set()

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata in self.known:
                continue
            self.known.add(storage._cdata)
            self.live += storage.nbytes()
            weakref.finalize(storage, self._release, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.live)

    def _release(self, key: int, nbytes: int) -> None:
        self.known.discard(key)
        self.live -= nbytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.hold(leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        return out


class FusedKernels(TorchFunctionMode):
    """Attention and grouped products as one kernel each: the output is allocated, inner results are not."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        if func is torch._grouped_mm:  # on meta, torch's own takes bfloat16 alone
            return args[0].new_empty(args[0].shape[0], args[1].shape[-1])
        return func(*args, **(kwargs or {}))


def peak_bytes(module: torch.nn.Module, call: Callable[[], object], earlier: Iterable[torch.Tensor] = ()) -> int:
    """Return the peak of live bytes while ``call`` runs, ``earlier`` ones included, parameters and buffers left out."""
    tracker = LiveMemory()
    tracker.known |= {tensor.untyped_storage()._cdata for tensor in [*module.parameters(), *module.buffers()]}
    tracker.hold(earlier)
    with torch.no_grad(), FusedKernels(), tracker:
        call()
    return tracker.peak
