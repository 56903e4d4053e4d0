"""The real Wan2.1 networks from diffusers and transformers, on torch's meta device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.specs import ModelRequest
from perfkit_wan2_1.architecture import Architecture, TextEncoder, Transformer, Vae
from perfkit_wan2_1.estimate import architecture_of, model_options


def build_modules(request: ModelRequest) -> Mapping[str, Any]:
    """Return ``text_encoder``, ``transformer`` and ``vae`` without weights, in the requested types.

    Raises:
        MissingError: torch, transformers or diffusers is not installed, or a checkpoint file is missing.
    """
    architecture, options = architecture_of(request), model_options(request)
    try:
        import torch
    except ImportError as error:
        raise _missing(error) from None
    with torch.device("meta"):
        return {
            "text_encoder": text_encoder_module(architecture.text_encoder, options.dtype),
            "transformer": transformer_module(architecture.transformer, options.dtype),
            "vae": vae_module(architecture, options.vae_dtype),
        }


def text_encoder_module(config: TextEncoder, dtype: str) -> Any:
    """Build ``UMT5EncoderModel`` on the current default device, all parameters in ``dtype``."""
    try:
        from transformers import UMT5Config, UMT5EncoderModel
    except ImportError as error:
        raise _missing(error) from None
    settings = UMT5Config(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        d_kv=config.d_kv,
        num_heads=config.num_heads,
        d_ff=config.d_ff,
        num_layers=config.num_layers,
        relative_attention_num_buckets=config.relative_attention_num_buckets,
        feed_forward_proj="gated-gelu",
        attn_implementation="sdpa",
    )
    settings.dense_act_fn = config.dense_act_fn
    return _cast(UMT5EncoderModel(settings), dtype, kept=frozenset())


def transformer_module(config: Transformer, dtype: str) -> Any:
    """Build ``WanTransformer3DModel``; what the library keeps in float32 when loading stays so."""
    try:
        from diffusers import WanTransformer3DModel
    except ImportError as error:
        raise _missing(error) from None
    model = WanTransformer3DModel(
        patch_size=config.patch_size,
        num_attention_heads=config.num_attention_heads,
        attention_head_dim=config.attention_head_dim,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        text_dim=config.text_dim,
        freq_dim=config.freq_dim,
        ffn_dim=config.ffn_dim,
        num_layers=config.num_layers,
        cross_attn_norm=config.cross_attn_norm,
        rope_max_seq_len=config.rope_max_seq_len,
    )
    return _cast(model, dtype, kept=frozenset(model._keep_in_fp32_modules))


def vae_module(architecture: Architecture, dtype: str) -> Any:
    """Build ``AutoencoderKLWan``, all parameters in ``dtype``."""
    try:
        from diffusers import AutoencoderKLWan
    except ImportError as error:
        raise _missing(error) from None
    vae: Vae = architecture.vae
    model = AutoencoderKLWan(
        base_dim=vae.base_dim,
        decoder_base_dim=vae.decoder_base_dim,
        z_dim=vae.z_dim,
        dim_mult=list(vae.dim_mult),
        num_res_blocks=vae.num_res_blocks,
        temperal_downsample=list(vae.temperal_downsample),
        in_channels=vae.in_channels,
        out_channels=vae.out_channels,
    )
    return _cast(model, dtype, kept=frozenset())


def _cast(model: Any, dtype: str, *, kept: frozenset[str]) -> Any:
    """Hold every parameter in ``dtype``, except below modules named in ``kept``, as loading a checkpoint does."""
    import torch

    for name, parameter in model.named_parameters():
        if kept.isdisjoint(name.split(".")):
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return model.eval()


def _missing(error: ImportError) -> MissingError:
    return MissingError(
        f"the real Wan2.1 modules need torch, transformers and diffusers: {error}",
        fix="pip install 'perfkit-wan2-1[torch]'",
    )
