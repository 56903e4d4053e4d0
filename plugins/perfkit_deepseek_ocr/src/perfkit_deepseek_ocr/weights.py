"""Filling the real modules: storage on the device, then numbers from a seed or from a checkpoint.

Modules arrive built on torch's meta device with every parameter in its final element type, so a
parameter exists once, on the device, and never as a float32 copy in host memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit_core.checkpoints import FLOATING, StoredTensor, safetensors, some
from perfkit_core.errors import MissingError
from perfkit_deepseek_ocr.official_names import UNUSED, Piece, pieces

_TABLES = ("pos_embed", "position_embedding.weight", "rel_pos_h", "rel_pos_w")
_TABLE_DEVIATION = 0.02
_TOKENS = ("embed_tokens.weight", "image_newline", "view_separator", "class_embedding")
"""Vectors that stand among activations of size one."""

_MANY_SEEDS = 2**62

_WHOLE = frozenset({"I64"})
"""Type of the position numbers that a checkpoint may hold; they are never read."""

Matched = Mapping[str, list[tuple[Piece, StoredTensor]]]
"""For each parameter what a checkpoint holds of it."""


def materialise(module: Any, device: str) -> None:
    """Give every parameter and buffer of ``module`` storage on ``device``.

    The parameters hold whatever lies in memory; tables that a module computes when it is built are built again.
    """
    import torch

    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            storage = torch.empty_like(parameter, device=device)
            setattr(owner, name, torch.nn.Parameter(storage, requires_grad=False))
    embeddings = module.model.vision_tower.vision_encoder.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device).expand(1, -1)
    rotary = module.model.language_model.rotary_emb
    with torch.device("cpu"):
        rebuilt = type(rotary)(rotary.config)
    module.model.language_model.rotary_emb = rebuilt.to(device).eval()
    left = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
    if left:
        raise TypeError(f"{type(module).__name__} computes {', '.join(left[:3])} in a way that is not known here")


def fill_randomly(module: Any, seed: int) -> None:
    """Draw every parameter on its device: normal, scaled so that activations keep their size.

    The same seed, device kind and element type give the same numbers.
    """
    import torch

    device = next(module.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed % _MANY_SEEDS)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            deviation = _deviation(name, tuple(parameter.shape))
            if deviation is None:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(0.0, deviation, generator=generator)


def _deviation(name: str, shape: tuple[int, ...]) -> float | None:
    """Return the standard deviation for a parameter; None for the constants, biases and norms."""
    if name.endswith(_TABLES):
        return _TABLE_DEVIATION
    if name.endswith(_TOKENS):
        return 1.0
    if len(shape) < 2:
        return None
    # The experts' matrices lie in one tensor, one after the other.
    return 1 / math.sqrt(shape[-1] if len(shape) == 3 else math.prod(shape[1:]))


def checkpoint_tensors(module: Any, checkpoint: Path) -> Matched:
    """Find every parameter of ``module`` in ``checkpoint``; nothing but names and shapes is read.

    Args:
        module: The network, on any device.

    Raises:
        MissingError: A file or tensor is missing, unexpected or of another shape.
        DamagedFileError: A file is truncated or cannot be parsed.
    """
    stored = safetensors(checkpoint, "model", types=FLOATING | _WHOLE)
    wanted = {name: pieces(name, tuple(parameter.shape)) for name, parameter in module.named_parameters()}
    shapes = {piece.name: piece.shape for parts in wanted.values() for piece in parts}
    missing, unexpected = sorted(shapes.keys() - stored.keys()), sorted(stored.keys() - shapes.keys() - UNUSED)
    problems = [f"lacks {some(missing)}"] if missing else []
    if unexpected:
        problems.append(f"has {some(unexpected)} too many")
    wrong = [
        f"{name} is {list(stored[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in stored and stored[name].shape != shape
    ]
    if wrong:
        problems.append(f"has {some(wrong)} of another shape")
    if problems:
        raise MissingError(
            f"checkpoint {checkpoint} {' and '.join(problems)}", fix="give the checkpoint of a DeepSeek-OCR model"
        )
    return {name: [(piece, stored[piece.name]) for piece in parts] for name, parts in wanted.items()}


def fill_from_checkpoint(module: Any, matched: Matched) -> None:
    """Copy every parameter of ``module`` from where it is stored, cast to the type it is held in."""
    import torch

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            for piece, tensor in matched[name]:
                parameter[piece.place].copy_(tensor.read()[piece.rows])
