"""Sizes of the official text encoder and VAE, read off the shapes of their tensors.

The official layout has a ``config.json`` for the transformer alone: the sizes of the other two networks
are in the code that ships with it. Where their files are there, what the files hold is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from perfkit_core.checkpoints import Shape
from perfkit_core.errors import MissingError
from perfkit_wan2_1.architecture import TextEncoder, Vae
from perfkit_wan2_1.torch_archive import tensor_shapes

TEXT_ENCODER_FILE = "models_t5_umt5-xxl-enc-bf16.pth"
VAE_FILE = "Wan2.1_VAE.pth"

_LEVEL_PART = re.compile(r"encoder\.downsamples\.(\d+)\.(residual\.2|resample\.1|time_conv)\.weight")


def text_encoder_sizes(root: Path, otherwise: TextEncoder) -> TextEncoder:
    """Return the sizes of the text encoder in ``root``; without its file, those of the official one.

    Raises:
        MissingError: The file holds another network.
        DamagedFileError: The file cannot be read.
    """
    path = root / TEXT_ENCODER_FILE
    if not path.exists():
        return otherwise
    shapes = tensor_shapes(path)
    vocabulary, width = _shape(path, shapes, "token_embedding.weight", 2)
    buckets, heads = _shape(path, shapes, "blocks.0.pos_embedding.embedding.weight", 2)
    inner, _ = _shape(path, shapes, "blocks.0.attn.q.weight", 2)
    feed_forward, _ = _shape(path, shapes, "blocks.0.ffn.fc1.weight", 2)
    return TextEncoder(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=inner // max(heads, 1),
        num_heads=heads,
        d_ff=feed_forward,
        num_layers=sum(bool(re.fullmatch(r"blocks\.\d+\.norm1\.weight", name)) for name in shapes),
        relative_attention_num_buckets=buckets,
        dense_act_fn=otherwise.dense_act_fn,
    )


def vae_sizes(root: Path, otherwise: Vae) -> Vae:
    """Return the sizes of the VAE in ``root``; without its file, those of the official one.

    Raises:
        MissingError: The file holds another network.
        DamagedFileError: The file cannot be read.
    """
    path = root / VAE_FILE
    if not path.exists():
        return otherwise
    shapes = tensor_shapes(path)
    base, channels, *_ = _shape(path, shapes, "encoder.conv1.weight", 5)
    out_channels, finest, *_ = _shape(path, shapes, "decoder.head.2.weight", 5)
    latent, *_ = _shape(path, shapes, "conv2.weight", 5)
    levels = _levels(path, shapes)
    multipliers = tuple(width // max(base, 1) for width, _, _ in levels)
    return Vae(
        base_dim=base,
        decoder_base_dim=finest // max(multipliers[0], 1),
        z_dim=latent,
        dim_mult=multipliers,
        num_res_blocks=levels[0][1],
        temperal_downsample=tuple(in_time for _, _, in_time in levels[:-1]),
        in_channels=channels,
        out_channels=out_channels,
    )


def _levels(path: Path, shapes: Mapping[str, Shape]) -> list[tuple[int, int, bool]]:
    """Return width, residual blocks and halving in time of every encoder level, finest first."""
    parts: dict[int, set[str]] = {}
    for name in shapes:
        if match := _LEVEL_PART.fullmatch(name):
            parts.setdefault(int(match[1]), set()).add(match[2])
    levels: list[tuple[int, int, bool]] = []
    width, blocks = 0, 0
    for index in sorted(parts):
        if "residual.2" in parts[index]:
            width, *_ = _shape(path, shapes, f"encoder.downsamples.{index}.residual.2.weight", 5)
            blocks += 1
        else:
            levels.append((width, blocks, "time_conv" in parts[index]))
            blocks = 0
    levels.append((width, blocks, False))
    if min(width for width, _, _ in levels) == 0:
        raise MissingError(f"checkpoint file {path} does not fit: the encoder has a level without residual blocks")
    return levels


def _shape(path: Path, shapes: Mapping[str, Shape], name: str, dimensions: int) -> Shape:
    shape = shapes.get(name)
    if shape is None:
        raise MissingError(f"checkpoint file {path} does not fit: it lacks tensor {name}", fix="give the official file")
    if len(shape) != dimensions or 0 in shape:
        raise MissingError(f"checkpoint file {path} does not fit: tensor {name} has shape {list(shape)}")
    return shape
