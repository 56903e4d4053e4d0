"""What a kernel does, told from its name: enough to set the arithmetic of a stage against the kernels that do it."""

from __future__ import annotations

import re
from typing import Final, Literal

KernelKind = Literal[
    "attention", "matrix products", "convolutions", "element-wise", "norms and reductions", "copies", "other"
]
"""Kinds of kernels; copies are also casts, changes of layout, gathering and filling."""

HEAVY: Final[tuple[KernelKind, ...]] = ("attention", "matrix products", "convolutions")
"""Kinds that do what is counted as FLOPs."""

LIGHT: Final[tuple[KernelKind, ...]] = ("element-wise", "norms and reductions", "copies")
"""Kinds that mostly move bytes, and that fusing does away with."""

_NAMES: Final[tuple[tuple[KernelKind, str], ...]] = (
    ("element-wise", r"^triton_poi"),
    ("norms and reductions", r"^triton_(?:red|per)"),
    ("matrix products", r"^triton_tem"),
    ("copies", r"nchwToNhwc|nhwcToNchw|^mem(?:cpy|set)\b"),
    ("attention", r"flash|fmha|sdpa|attention|attn"),
    ("convolutions", r"fprop|dgrad|wgrad|implicit_(?:gemm|convolve)|winograd|(?<![a-z])conv(?:olution|_|\d)"),
    ("matrix products", r"nvjet|gemm|gemv|cublas|matmul|splitKreduce|(?<![a-z])dot_kernel|cutlass.*(?:Mma|MMA)"),
    ("norms and reductions", r"topk|sort|softmax"),
    ("copies", r"copy|CatArray|transpose|permute|gather|scatter|index|FillFunctor|arange"),
    ("norms and reductions", r"norm(?!al)|reduc|scan|arg(?:max|min)|cumsum"),
    ("element-wise", r"elementwise|pointwise|unrolled|vectorized"),
)
"""The first that is found in a name decides: what names a library's algorithm goes before what any template holds."""

_PATTERNS: Final = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _NAMES)


def kind_of(name: str, record_kind: str = "kernel") -> KernelKind:
    """Return what a kernel does, ``other`` where its name does not tell.

    Args:
        name: Name as the profiler wrote it.
        record_kind: What ``regions.json`` calls it: kernel, copy, set or graph.
    """
    if record_kind in ("copy", "set"):
        return "copies"
    return next((kind for kind, pattern in _PATTERNS if pattern.search(name)), "other")
