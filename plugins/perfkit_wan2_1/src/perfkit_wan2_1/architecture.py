"""Architecture of the three Wan2.1 networks, as the numbers that the cost formulas need.

The field names follow ``diffusers`` and ``transformers`` configuration files, which is where they come
from: the bundled variants and ``--checkpoint`` directories are read by one reader (``metadata.py``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """UMT5 encoder (``transformers.UMT5EncoderModel``).

    Attributes:
        vocab_size: Rows of the token table.
        d_model: Width of the hidden states.
        d_kv: Width of one attention head.
        num_heads: Attention heads.
        d_ff: Width of the gated feed-forward.
        num_layers: Encoder blocks.
        relative_attention_num_buckets: Rows of each layer's relative-position table.
        dense_act_fn: Activation of the gate: ``gelu_new``, ``gelu``, ``silu`` or ``relu``.
    """

    vocab_size: int
    d_model: int
    d_kv: int
    num_heads: int
    d_ff: int
    num_layers: int
    relative_attention_num_buckets: int
    dense_act_fn: str


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Diffusion transformer (``diffusers.WanTransformer3DModel``, text-to-video).

    Attributes:
        num_layers: Transformer blocks.
        num_attention_heads: Heads of self- and cross-attention.
        attention_head_dim: Width of one head.
        ffn_dim: Width of the feed-forward.
        in_channels: Latent channels in.
        out_channels: Latent channels out.
        patch_size: Latent frames, rows and columns folded into one token.
        text_dim: Width of the text embeddings.
        freq_dim: Width of the sinusoidal time embedding.
        cross_attn_norm: Whether the cross-attention input is normalised.
        rope_max_seq_len: Longest axis, in tokens, that the rotary tables cover.
    """

    num_layers: int
    num_attention_heads: int
    attention_head_dim: int
    ffn_dim: int
    in_channels: int
    out_channels: int
    patch_size: tuple[int, int, int]
    text_dim: int
    freq_dim: int
    cross_attn_norm: bool
    rope_max_seq_len: int

    @property
    def width(self) -> int:
        """Width of the hidden states: heads x head width."""
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True, kw_only=True)
class Vae:
    """Video autoencoder (``diffusers.AutoencoderKLWan``).

    Attributes:
        base_dim: Channels of the finest level of the encoder.
        decoder_base_dim: Channels of the finest level of the decoder.
        z_dim: Latent channels.
        dim_mult: Channel multiplier per level, finest first.
        num_res_blocks: Residual blocks per encoder level; the decoder has one more.
        temperal_downsample: Whether each level but the last halves the frames (the configuration's own
            spelling).
        in_channels: Channels of the video that is encoded.
        out_channels: Channels of the decoded video.
        latents_mean: Mean of each latent channel; empty for the library's own values.
        latents_std: Standard deviation of each latent channel; empty for the library's own values.
    """

    base_dim: int
    decoder_base_dim: int
    z_dim: int
    dim_mult: tuple[int, ...]
    num_res_blocks: int
    temperal_downsample: tuple[bool, ...]
    in_channels: int
    out_channels: int
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()

    @property
    def time_stride(self) -> int:
        """Video frames per latent frame (after the first)."""
        return int(2 ** sum(self.temperal_downsample))

    @property
    def space_stride(self) -> int:
        """Pixels per latent row or column."""
        return int(2 ** (len(self.dim_mult) - 1))


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The three networks of one variant.

    Attributes:
        source: Where the numbers come from: a bundled variant's name or a checkpoint directory.
        text_encoder: Prompt encoder.
        transformer: Denoiser.
        vae: Video decoder (and the encoder that is loaded with it).
    """

    source: str
    text_encoder: TextEncoder
    transformer: Transformer
    vae: Vae
