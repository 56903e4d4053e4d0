"""Peak of live tensor bytes on the meta device: an allocation tracker to hold memory formulas against."""

from __future__ import annotations

import weakref
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
        self.at = ""
        self.where = ""

    def hold(self, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata in self.known:
                continue
            self.known.add(storage._cdata)
            nbytes = storage.nbytes()
            self.live += nbytes
            weakref.finalize(storage, self._release, storage._cdata, nbytes)
        if self.live > self.peak:
            self.peak, self.where = self.live, self.at

    def _hold_workspace(self, source: torch.Tensor, out: torch.Tensor) -> None:
        """cuDNN copies input and output of a 3-D convolution to channels-last while it runs."""
        during = self.live + source.untyped_storage().nbytes() + 2 * out.untyped_storage().nbytes()
        if during > self.peak:
            self.peak, self.where = during, "convolution workspace"

    def _release(self, key: int, nbytes: int) -> None:
        self.known.discard(key)
        self.live -= nbytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.at = func.__name__
        if func is torch.ops.aten.convolution.default and args[0].dim() == 5:
            self._hold_workspace(args[0], out)
        self.hold(*(leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)))
        return out


class FusedAttention(TorchFunctionMode):
    """Attention and RMS norm as fused kernels run them: the output is allocated, inner results are not."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0] if args else (kwargs or {})["query"])
        if func is torch.nn.functional.rms_norm:
            return torch.empty_like(args[0] if args else (kwargs or {})["query"])
        return func(*args, **(kwargs or {}))


def peak_bytes(module: torch.nn.Module, call: Any) -> tuple[int, str]:
    """Return the peak of live bytes while ``call(module)`` runs, parameters and buffers left out."""
    tracker = LiveMemory()
    tracker.known |= {t.untyped_storage()._cdata for t in [*module.parameters(), *module.buffers()]}
    with torch.no_grad(), FusedAttention(), tracker:
        call(module)
    return tracker.peak, tracker.where
