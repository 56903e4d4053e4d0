"""The measured choices of the transformer: which attention kernel, and whether torch compiles it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_wan2_1.options import WanModelOptions

_BACKENDS = {
    "sdpa": "native",
    "math": "_native_math",
    "efficient": "_native_efficient",
    "flash": "_native_flash",
    "cudnn": "_native_cudnn",
    "flash_attn": "flash",
}
"""Names of the attention backends in diffusers."""

_ON_CUDA_ALONE = frozenset({"efficient", "cudnn", "flash_attn"})


def choose_attention(transformer: Any, attention: str, device: str) -> None:
    """Make every attention of ``transformer`` use one implementation.

    Raises:
        MissingError: The device or the installed packages do not have it.
    """
    if attention in _ON_CUDA_ALONE and not device.startswith("cuda"):
        raise MissingError(f"attention={attention} runs on CUDA alone, not on {device}", fix="use attention=sdpa")
    try:
        with _quiet("diffusers.models.modeling_utils"):
            transformer.set_attention_backend(_BACKENDS[attention])
    except (ImportError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingError(f"attention={attention} is not available: {reason}", fix="use attention=sdpa") from None


def compiled(transformer: Any, options: WanModelOptions) -> Any:
    """Return the module to call for one forward pass: the transformer itself, or its compiled form."""
    if options.compile == "none":
        return transformer
    import torch

    return torch.compile(transformer, mode=options.compile, dynamic=False)


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Keep a library's notice about its own interface out of the run's log."""
    found = logging.getLogger(logger)
    level = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(level)
