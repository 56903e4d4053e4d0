"""Tensor names of the official Wan2.1 files for the modules of diffusers and transformers.

Each function takes a name of the library and returns the official one, or None for a name that the
official file has no counterpart of (the second name of a tied tensor).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_Rules = Sequence[tuple[str, str]]

_ATTENTION = {"attn1": "self_attn", "attn2": "cross_attn"}
_TRANSFORMER: _Rules = (
    (r"condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"condition_embedder\.time_proj\.", "time_projection.1."),
    (r"proj_out\.", "head.head."),
    (r"scale_shift_table$", "head.modulation"),
)
_BLOCK: _Rules = (
    (r"scale_shift_table$", "modulation"),
    (r"norm2\.", "norm3."),  # the library numbers norms in the order of their calls
    (r"ffn\.net\.0\.proj\.", "ffn.0."),
    (r"ffn\.net\.2\.", "ffn.2."),
)
_PROJECTION: _Rules = ((r"to_out\.0\.", "o."), (r"to_([qkv])\.", r"\1."))

_TEXT_BLOCK: _Rules = (
    (r"layer\.0\.SelfAttention\.relative_attention_bias\.", "pos_embedding.embedding."),
    (r"layer\.0\.SelfAttention\.", "attn."),
    (r"layer\.0\.layer_norm\.", "norm1."),
    (r"layer\.1\.DenseReluDense\.wi_0\.", "ffn.gate.0."),
    (r"layer\.1\.DenseReluDense\.wi_1\.", "ffn.fc1."),
    (r"layer\.1\.DenseReluDense\.wo\.", "ffn.fc2."),
    (r"layer\.1\.layer_norm\.", "norm2."),
)

_VAE: _Rules = (
    (r"quant_conv\.", "conv1."),
    (r"post_quant_conv\.", "conv2."),
    (r"(encoder|decoder)\.conv_in\.", r"\1.conv1."),
    (r"(encoder|decoder)\.norm_out\.", r"\1.head.0."),
    (r"(encoder|decoder)\.conv_out\.", r"\1.head.2."),
    (r"(encoder|decoder)\.mid_block\.attentions\.0\.", r"\1.middle.1."),
    (r"(encoder|decoder)\.mid_block\.resnets\.0\.", r"\1.middle.0."),
    (r"(encoder|decoder)\.mid_block\.resnets\.1\.", r"\1.middle.2."),
    (r"encoder\.down_blocks\.", "encoder.downsamples."),
)
_RESIDUAL: _Rules = (
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv1\.", ".residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
)


def transformer_name(name: str) -> str:
    """Return the official name of a ``WanTransformer3DModel`` tensor."""
    block = re.match(r"blocks\.\d+\.", name)
    if not block:
        return _renamed(name, _TRANSFORMER)
    inside = name[block.end() :]
    attention, dot, projection = inside.partition(".")
    if dot and attention in _ATTENTION:
        return f"{block[0]}{_ATTENTION[attention]}.{_renamed(projection, _PROJECTION)}"
    return block[0] + _renamed(inside, _BLOCK)


def text_encoder_name(name: str) -> str | None:
    """Return the official name of a ``UMT5EncoderModel`` tensor; the table of tokens has one name there."""
    if name == "encoder.embed_tokens.weight":
        return None
    if name == "shared.weight":
        return "token_embedding.weight"
    block = re.match(r"encoder\.block\.(\d+)\.", name)
    if not block:
        return name.replace("encoder.final_layer_norm.", "norm.")
    return f"blocks.{block[1]}.{_renamed(name[block.end() :], _TEXT_BLOCK)}"


def vae_name(name: str, *, blocks_per_level: int) -> str:
    """Return the official name of an ``AutoencoderKLWan`` tensor.

    Args:
        blocks_per_level: Residual blocks of a decoder level; the official file numbers blocks and
            upsamplers of all levels in one row.
    """
    level = re.match(r"decoder\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.", name)
    if level:
        within = int(level[3]) if level[2] == "resnets" else blocks_per_level
        name = f"decoder.upsamples.{int(level[1]) * (blocks_per_level + 1) + within}.{name[level.end() :]}"
    else:
        name = _renamed(name, _VAE)
    if ".upsamples." in name or ".downsamples." in name or re.search(r"\.middle\.[02]\.", name):
        for pattern, replacement in _RESIDUAL:
            name = re.sub(pattern, replacement, name, count=1)
    return name


def _renamed(name: str, rules: _Rules) -> str:
    """Apply the first rule that fits the beginning of ``name``."""
    for pattern, replacement in rules:
        changed, number = re.subn(rf"\A{pattern}", replacement, name, count=1)
        if number:
            return changed
    return name
