"""Sizes that a workload implies: latent grid, tokens and how often each network is called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Everything the cost formulas need to know about one workload.

    Attributes:
        batch: Videos generated at once.
        latent_frames: Latent frames ``T``; the VAE decodes ``1 + stride*(T-1)`` frames from them.
        latent_height: Latent rows.
        latent_width: Latent columns.
        grid: Tokens per axis (frames, rows, columns).
        tokens: Tokens of one video in the transformer, ``S``.
        text_len: Padded text tokens, ``L``.
        steps: Denoising steps.
        passes: Transformer calls per step and text-encoder calls: 2 with guidance, else 1.
        decoded_frames: Video frames that the VAE returns.
        dtype: Element type of the text encoder and the transformer.
        vae_dtype: Element type of the VAE.
    """

    batch: int
    latent_frames: int
    latent_height: int
    latent_width: int
    grid: tuple[int, int, int]
    tokens: int
    text_len: int
    steps: int
    passes: int
    decoded_frames: int
    dtype: str
    vae_dtype: str
