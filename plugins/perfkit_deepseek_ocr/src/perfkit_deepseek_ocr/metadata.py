"""Reading an architecture: from the bundled variants, or from a checkpoint directory.

Both are a ``config.json`` in the layout of the official checkpoint. Sizes that the official code fixes have
no field there; a variant of another size may give them (``mlp_width``, ``window_size`` and
``neck_channels`` beside the encoder's other fields, ``image_token_id`` at the top).
"""

from __future__ import annotations

from pathlib import Path

from perfkit_core.errors import MissingError
from perfkit_deepseek_ocr.architecture import (
    IMAGE_TOKEN_ID,
    MLP_RATIO,
    SAM_NECK_CHANNELS,
    SAM_PATCH,
    SAM_WINDOW,
    Architecture,
    Clip,
    Decoder,
    Sam,
)
from perfkit_deepseek_ocr.config_fields import Fields, read_config

VARIANTS = Path(__file__).parent / "variants"


def read_architecture(variant: str, checkpoint: Path | None) -> Architecture:
    """Return the architecture of a bundled variant, or of ``checkpoint`` when one is given.

    Raises:
        MissingError: The directory or one of its files or fields is missing, or describes another model.
        DamagedFileError: A configuration file cannot be parsed.
    """
    if checkpoint is not None and not checkpoint.is_dir():
        raise MissingError(f"checkpoint {checkpoint} is not a directory", fix="give the directory with config.json")
    root = checkpoint or VARIANTS / variant
    fields = read_config(root / "config.json")
    fields.require("model_type", "deepseek_vl_v2")
    vision, language = fields.section("vision_config"), fields.section("language_config")
    encoders = vision.section("width")
    architecture = Architecture(
        source=str(checkpoint) if checkpoint else f"bundled:{variant}",
        sam=_sam(encoders.section("sam_vit_b"), vision.integer("image_size")),
        clip=_clip(encoders.section("clip-l-14-224")),
        decoder=_decoder(language, fields.integer("image_token_id", IMAGE_TOKEN_ID)),
    )
    _check_fit(architecture, fields)
    return architecture


def _sam(fields: Fields, image_size: int) -> Sam:
    channels = fields.integers("downsample_channels")
    if len(channels) != 2:
        raise fields.problem(f"downsample_channels has {len(channels)} entries, and only 2 are modelled")
    width = _divided(fields, "width", "heads")
    return Sam(
        layers=fields.integer("layers"),
        width=width,
        heads=fields.integer("heads"),
        mlp_width=fields.integer("mlp_width", MLP_RATIO * width),
        image_size=image_size,
        patch_size=SAM_PATCH,
        window_size=fields.integer("window_size", SAM_WINDOW),
        global_layers=fields.integers("global_attn_indexes", least=0),
        neck_channels=fields.integer("neck_channels", SAM_NECK_CHANNELS),
        downsample_channels=(channels[0], channels[1]),
    )


def _clip(fields: Fields) -> Clip:
    width = _divided(fields, "width", "heads")
    return Clip(
        layers=fields.integer("layers"),
        width=width,
        heads=fields.integer("heads"),
        mlp_width=fields.integer("mlp_width", MLP_RATIO * width),
        image_size=fields.integer("image_size"),
        patch_size=fields.integer("patch_size"),
    )


def _decoder(fields: Fields, image_token_id: int) -> Decoder:
    heads, experts = fields.integer("num_attention_heads"), fields.integer("n_routed_experts")
    fields.require("use_mla", False)
    fields.require("topk_method", "greedy", missing_is_fine=True)
    fields.require("num_key_value_heads", heads, missing_is_fine=True)
    decoder = Decoder(
        layers=fields.integer("num_hidden_layers"),
        dense_layers=fields.integer("first_k_dense_replace", least=0),
        width=_divided(fields, "hidden_size", "num_attention_heads"),
        heads=heads,
        dense_width=fields.integer("intermediate_size"),
        expert_width=fields.integer("moe_intermediate_size"),
        experts=experts,
        experts_per_token=fields.integer("num_experts_per_tok"),
        shared_experts=fields.integer("n_shared_experts"),
        vocabulary=fields.integer("vocab_size"),
        max_positions=fields.integer("max_position_embeddings"),
        image_token_id=image_token_id,
    )
    if decoder.experts_per_token > experts:
        raise fields.problem(f"num_experts_per_tok={decoder.experts_per_token} exceeds n_routed_experts={experts}")
    if decoder.head_width % 2:
        raise fields.problem(f"heads of odd width {decoder.head_width} cannot be rotated")
    return decoder


def _divided(fields: Fields, width: str, heads: str) -> int:
    """Return ``width``, which must split evenly into ``heads``."""
    if fields.integer(width) % fields.integer(heads):
        raise fields.problem(f"{width}={fields.integer(width)} is not a multiple of {heads}={fields.integer(heads)}")
    return fields.integer(width)


def _check_fit(architecture: Architecture, fields: Fields) -> None:
    """The networks must hand each other tensors of the same width."""
    sam, clip, decoder = architecture.sam, architecture.clip, architecture.decoder
    projector = fields.section("projector_config")
    projector.require("projector_type", "linear")
    pairs = (
        ("the last of sam's downsample_channels", sam.downsample_channels[-1], "the width of clip", clip.width),
        ("projector input_dim", projector.integer("input_dim"), "the encoders' features", architecture.feature_width),
        ("projector n_embed", projector.integer("n_embed"), "the decoder's hidden_size", decoder.width),
    )
    for name, value, other, expected in pairs:
        if value != expected:
            raise fields.problem(f"{name} {value} does not fit {other} {expected}")
    if sam.image_size % sam.patch_size:
        raise fields.problem(f"image_size={sam.image_size} is not a multiple of the patch size {sam.patch_size}")
    if any(layer >= sam.layers for layer in sam.global_layers):
        raise fields.problem(f"global_attn_indexes name a layer beyond the last of {sam.layers}")
    if decoder.image_token_id >= decoder.vocabulary:
        raise fields.problem(f"image_token_id={decoder.image_token_id} is outside the vocabulary {decoder.vocabulary}")
