"""The real DeepSeek-OCR networks: on torch's meta device, or with weights.

They are those of ``transformers``' ``unlimited_ocr``, a sibling with the same encoders, projector and decoder;
its sliding window is turned off.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.specs import ModelRequest
from perfkit_deepseek_ocr.architecture import Architecture, Clip, Decoder, Sam
from perfkit_deepseek_ocr.estimate import architecture_of, model_options
from perfkit_deepseek_ocr.weights import checkpoint_tensors, fill_from_checkpoint, fill_randomly, materialise


def build_modules(request: ModelRequest) -> Mapping[str, Any]:
    """Return ``model``, the whole network with its output head, on the requested device.

    Without weights on ``meta``; elsewhere with the checkpoint's weights, or with random ones from the seed.

    Raises:
        MissingError: torch or a transformers with this model is not installed, or a checkpoint file or tensor
            is missing or does not fit.
        DamagedFileError: A checkpoint file cannot be parsed.
    """
    architecture, options = architecture_of(request), model_options(request)
    try:
        import torch
    except ImportError as error:
        raise _missing(error) from None
    with torch.device("meta"):
        model = ocr_module(architecture, options.dtype, options.attention)
    model.set_experts_implementation(options.experts)
    if request.device != "meta":
        # All files are looked through first: a problem shows before gigabytes have been copied.
        stored = None if request.checkpoint is None else checkpoint_tensors(model, Path(request.checkpoint))
        materialise(model, request.device)
        if stored is None:
            fill_randomly(model, request.seed)
        else:
            fill_from_checkpoint(model, stored)
    return {"model": model}


def ocr_module(architecture: Architecture, dtype: str, attention: str = "sdpa") -> Any:
    """Build the network on the current default device, all parameters in ``dtype``."""
    try:
        import torch
        from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration
    except ImportError as error:
        raise _missing(error) from None
    config = UnlimitedOcrConfig(
        text_config=_decoder_settings(architecture.decoder),
        vision_config={
            "sam_config": _sam_settings(architecture.sam),
            "encoder_config": _clip_settings(architecture.clip),
        },
        image_token_id=architecture.decoder.image_token_id,
        attn_implementation=attention,
    )
    model = UnlimitedOcrForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))
    return model.eval()


def _sam_settings(sam: Sam) -> dict[str, Any]:
    return {
        "hidden_size": sam.width,
        "output_channels": sam.neck_channels,
        "num_hidden_layers": sam.layers,
        "num_attention_heads": sam.heads,
        "image_size": sam.image_size,
        "patch_size": sam.patch_size,
        "window_size": sam.window_size,
        "global_attn_indexes": list(sam.global_layers),
        "mlp_dim": sam.mlp_width,
        "downsample_channels": list(sam.downsample_channels),
    }


def _clip_settings(clip: Clip) -> dict[str, Any]:
    return {
        "hidden_size": clip.width,
        "intermediate_size": clip.mlp_width,
        "num_hidden_layers": clip.layers,
        "num_attention_heads": clip.heads,
        "image_size": clip.image_size,
        "patch_size": clip.patch_size,
    }


def _decoder_settings(decoder: Decoder) -> dict[str, Any]:
    return {
        "vocab_size": decoder.vocabulary,
        "hidden_size": decoder.width,
        "intermediate_size": decoder.dense_width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.heads,
        "n_routed_experts": decoder.experts,
        "n_shared_experts": decoder.shared_experts,
        "num_experts_per_tok": decoder.experts_per_token,
        "moe_intermediate_size": decoder.expert_width,
        "max_position_embeddings": decoder.max_positions,
        "first_k_dense_replace": decoder.dense_layers,
        "layer_types": ["full_attention"] * decoder.layers,
    }


def _missing(error: ImportError) -> MissingError:
    return MissingError(
        f"the real DeepSeek-OCR modules need torch and a transformers with unlimited_ocr: {error}",
        fix="pip install 'perfkit-deepseek-ocr[torch]'",
    )
