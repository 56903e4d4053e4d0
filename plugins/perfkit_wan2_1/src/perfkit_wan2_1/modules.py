"""The real Wan2.1 networks from diffusers and transformers: on torch's meta device, or with weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.specs import ModelRequest
from perfkit_wan2_1.architecture import Architecture, TextEncoder, Transformer, Vae
from perfkit_wan2_1.estimate import architecture_of, model_options
from perfkit_wan2_1.weights import checkpoint_tensors, fill_from_checkpoint, fill_randomly, materialise


def build_modules(request: ModelRequest) -> Mapping[str, Any]:
    """Return ``text_encoder``, ``transformer`` and ``vae`` in the requested types, on the requested device.

    Without weights on ``meta``; elsewhere with the checkpoint's weights, or with random ones from the seed.
    With ``offload=stage`` each network waits in host memory, and only one is ever on the device.

    Raises:
        MissingError: torch, transformers or diffusers is not installed, or a checkpoint file or tensor is
            missing or does not fit.
        DamagedFileError: A checkpoint file is truncated or cannot be parsed.
    """
    architecture, options = architecture_of(request), model_options(request)
    try:
        import torch
    except ImportError as error:
        raise _missing(error) from None
    with torch.device("meta"):
        modules = {
            "text_encoder": text_encoder_module(architecture.text_encoder, options.dtype),
            "transformer": transformer_module(architecture.transformer, options.dtype),
            "vae": vae_module(architecture, options.vae_dtype),
        }
    if request.device == "meta":
        return modules
    root = None if request.checkpoint is None else Path(request.checkpoint)
    # All files are looked through first: a problem shows before gigabytes have been copied.
    stored = {} if root is None else {name: checkpoint_tensors(name, modules[name], root) for name in modules}
    for name, module in modules.items():
        materialise(module, request.device)
        if stored:
            fill_from_checkpoint(name, module, stored[name])
        else:
            fill_randomly(name, module, request.seed)
        if options.offload == "stage":
            module.to("cpu")
            if request.device.startswith("cuda"):
                torch.cuda.empty_cache()  # the next network finds the device as empty as at the start
    return modules


def text_encoder_module(config: TextEncoder, dtype: str) -> Any:
    """Build ``UMT5EncoderModel`` on the current default device; what the library keeps in float32 stays so."""
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
    model = UMT5EncoderModel(settings)
    return _cast(model, dtype, kept=frozenset(model._keep_in_fp32_modules if dtype == "float16" else ()))


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
    statistics = {
        name: list(values)
        for name, values in (("latents_mean", vae.latents_mean), ("latents_std", vae.latents_std))
        if values
    }
    model = AutoencoderKLWan(
        base_dim=vae.base_dim,
        decoder_base_dim=vae.decoder_base_dim,
        z_dim=vae.z_dim,
        dim_mult=list(vae.dim_mult),
        num_res_blocks=vae.num_res_blocks,
        temperal_downsample=list(vae.temperal_downsample),
        in_channels=vae.in_channels,
        out_channels=vae.out_channels,
        **statistics,
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
