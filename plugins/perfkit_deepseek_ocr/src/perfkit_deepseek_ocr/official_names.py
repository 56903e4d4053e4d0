"""Where the official checkpoint keeps each parameter: its names there, fused or split otherwise than here."""

from __future__ import annotations

import re
from typing import NamedTuple

Shape = tuple[int, ...]

UNUSED = frozenset(
    {"model.vision_model.embeddings.patch_embedding.weight", "model.vision_model.embeddings.position_ids"}
)
"""Tensors that official checkpoints hold and that never run."""

_PREFIXES = (
    ("model.vision_tower.sam_encoder.", "model.sam_model."),
    ("model.vision_tower.vision_encoder.", "model.vision_model."),
    ("model.multi_modal_projector.", "model.projector.layers."),
    ("model.language_model.", "model."),
    ("model.view_separator", "model.view_seperator"),
)

_SAM = (
    (r"^model\.sam_model\.layers\.(\d+)\.layer_norm(\d)\.", r"model.sam_model.blocks.\1.norm\2."),
    (r"^model\.sam_model\.layers\.", "model.sam_model.blocks."),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    (r"^model\.sam_model\.proj\.conv1\.", "model.sam_model.net_2."),
    (r"^model\.sam_model\.proj\.conv2\.", "model.sam_model.net_3."),
)

_FUSED = re.compile(r"(model\.vision_model\..*\.self_attn)\.([qkv])_proj\.(weight|bias)")
_EXPERTS = re.compile(r"(model\.layers\.\d+\.mlp\.experts)\.(gate_up_proj|down_proj)")


class Piece(NamedTuple):
    """A stored tensor, or some of its rows, and the part of a parameter that it is.

    Attributes:
        name: Name in the checkpoint.
        shape: Shape there.
        rows: Rows of the stored tensor.
        place: Index of the part of the parameter.
    """

    name: str
    shape: Shape
    rows: slice = slice(None)
    place: tuple[int | slice, ...] = ()


def pieces(parameter: str, shape: Shape) -> list[Piece]:
    """Return what the official checkpoint holds of the parameter of that name and shape."""
    name = _renamed(parameter)
    if fused := _FUSED.fullmatch(name):
        part, width = "qkv".index(fused[2]), shape[0]
        stored = f"{fused[1]}.qkv_proj.{fused[3]}"
        return [Piece(stored, (3 * width, *shape[1:]), slice(part * width, (part + 1) * width))]
    if experts := _EXPERTS.fullmatch(name):
        return _expert_pieces(experts[1], experts[2], shape)
    return [Piece(name, shape)]


def _renamed(name: str) -> str:
    for ours, theirs in _PREFIXES:
        if name.startswith(ours):
            name = theirs + name.removeprefix(ours)
            break
    if name.startswith("model.sam_model."):
        for pattern, replacement in _SAM:
            name = re.sub(pattern, replacement, name)
    return name.replace("model.vision_model.encoder.", "model.vision_model.transformer.")


def _expert_pieces(prefix: str, kind: str, shape: Shape) -> list[Piece]:
    """One matrix of every expert lies in one tensor here, gate above up, and in tensors of its own there."""
    count, rows, columns = shape
    if kind == "down_proj":
        return [Piece(f"{prefix}.{i}.down_proj.weight", (rows, columns), place=(i,)) for i in range(count)]
    half = rows // 2
    halves = (("gate_proj", slice(0, half)), ("up_proj", slice(half, rows)))
    return [
        Piece(f"{prefix}.{i}.{name}.weight", (half, columns), place=(i, part))
        for i in range(count)
        for name, part in halves
    ]
