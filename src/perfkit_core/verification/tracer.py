"""Dispatch-mode tracer: bytes of each operation, per module, and operations that no counter sees.

It observes what torch really dispatches while the reference runs. Bytes of an operation are its distinct
input elements plus its output elements, at their own element types. Attention is observed at the
function level (Q, K, V, mask, O), since on the meta device torch takes it apart into products.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm"})
CONVOLUTIONS = frozenset({"convolution", "_convolution"})
RESAMPLING = re.compile(r"^_?upsample_")
MOVEMENT = frozenset({"clone", "copy_", "_to_copy", "fill_", "zero_", "alias", "lift_fresh", "lift_fresh_copy"})
"""Tagged pointwise by torch, but without arithmetic: an ideal kernel fuses them away."""

COMPUTING = re.compile(
    r"(^|_)(mm|bmm|mv|addmv|dot|vdot|matmul|linear|conv\w*|attention|attn|lstm|gru|rnn|cdist|einsum)(_|$)"
)
"""Names of operators that multiply and add; one that the counter has no formula for counts as 0."""

Trace = Counter[tuple[str, str]]
"""Bytes by (qualified module name, kind of operation)."""


class BytesTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up bytes per innermost called module.

    Attributes:
        stack: Qualified names of the modules being called, outermost first.
        trace: Bytes seen so far.
        uncounted: Operators that compute but that FlopCounterMode has no formula for.
        off_meta: Devices other than meta on which operators computed.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stack: list[str] = [""]
        self.trace: Trace = Counter()
        self.uncounted: set[str] = set()
        self.off_meta: set[str] = set()
        self.inside_attention = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator and record it."""
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        inputs = _tensors((args, kwargs))
        computes = func.overloadpacket in flop_registry
        if not computes and (COMPUTING.search(name) or func.namespace not in {"aten", "prims", "prim"}):
            self.uncounted.add(f"{func.namespace}.{name}")
            computes = True
        if computes:
            self.off_meta |= {str(tensor.device.type) for tensor in inputs if tensor.device.type != "meta"}
        if not self.inside_attention:
            self._record(func, name, inputs, _tensors(out))
        return out

    def add(self, kind: str, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        """Record one operation of ``kind`` in the innermost called module."""
        distinct = {id(tensor): tensor for tensor in inputs}
        self.trace[self.stack[-1], kind] += sum(map(_nbytes, distinct.values())) + sum(map(_nbytes, outputs))

    def _record(self, func: Any, name: str, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        if name in PRODUCTS:
            self.add("linear", inputs, outputs)
        elif name in CONVOLUTIONS:
            self.add("conv", inputs, outputs)
        elif name == "embedding":
            self.add("embedding", [*inputs[1:], *outputs], outputs)  # only the rows that are looked up are read
        elif RESAMPLING.match(name):
            self.add("resample", inputs, outputs)
        elif torch.Tag.pointwise in func.tags and name not in MOVEMENT:
            self.add("elementwise", inputs, outputs)


class AttentionMode(TorchFunctionMode):
    """Observes ``scaled_dot_product_attention`` as one operation."""

    def __init__(self, tracer: BytesTracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function; attention is recorded, and its inner operators are not."""
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.tracer.inside_attention = True
        try:
            out = func(*args, **(kwargs or {}))
        finally:
            self.tracer.inside_attention = False
        self.tracer.add("attention", _tensors((args, kwargs)), [out])
        return out


@contextmanager
def module_stack(root: torch.nn.Module, tracer: BytesTracer, calls: Counter[str]) -> Iterator[None]:
    """Keep ``tracer.stack`` at the innermost called module of ``root``, and count calls by qualified name."""

    def enter(name: str) -> Any:
        def hook(module: Any, args: Any) -> None:
            tracer.stack.append(name)
            calls[name] += 1

        return hook

    def leave(module: Any, args: Any, out: Any) -> None:
        tracer.stack.pop()

    handles: list[Any] = []
    try:
        for name, module in root.named_modules():
            handles.append(module.register_forward_pre_hook(enter(name)))
            handles.append(module.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _nbytes(tensor: torch.Tensor) -> int:
    """Bytes of the distinct elements: an expanded axis (stride 0) holds one."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else min(size, 1)
    return elements * tensor.element_size()
