"""Reading an architecture: from the bundled variants, or from a checkpoint directory.

Two checkpoint layouts are known: ``diffusers`` (``transformer/``, ``text_encoder/`` and ``vae/``, each
with a ``config.json``) and the official one (one ``config.json`` for the transformer; the sizes of the text
encoder and the VAE are read off their files, or are the bundled ones where a file is not there).
"""

from __future__ import annotations

from pathlib import Path

from perfkit_core.checkpoints import COMPLETE, json_object
from perfkit_core.errors import MissingError
from perfkit_wan2_1.architecture import Architecture, TextEncoder, Transformer, Vae
from perfkit_wan2_1.config_fields import Fields
from perfkit_wan2_1.official_sizes import TEXT_ENCODER_FILE, text_encoder_sizes, vae_sizes

VARIANTS = Path(__file__).parent / "variants"
OFFICIAL_TEXT_DIM = 4096
OFFICIAL_PATCH = (1, 2, 2)
OFFICIAL_ROPE_LENGTH = 1024
"""Constants of the official implementation that its ``config.json`` may leave out."""

NORM_EPSILON = 1e-6
FARTHEST_POSITION = 128
"""What the real modules are built with, whatever the checkpoint."""


def read_architecture(variant: str, checkpoint: Path | None) -> Architecture:
    """Return the architecture of a bundled variant, or of ``checkpoint`` when one is given.

    Raises:
        MissingError: The directory or one of its files or fields is missing, or describes another model.
        DamagedFileError: A configuration file cannot be parsed.
    """
    if checkpoint is None:
        return _read_diffusers(VARIANTS / variant, f"bundled:{variant}")
    if not checkpoint.is_dir():
        raise MissingError(f"checkpoint {checkpoint} is not a directory", fix="give the directory with config.json")
    if (checkpoint / "transformer").is_dir() or (checkpoint / "model_index.json").is_file():
        return _read_diffusers(checkpoint, str(checkpoint))
    if (checkpoint / "config.json").is_file():
        return _read_official(checkpoint)
    raise MissingError(
        f"checkpoint {checkpoint} has neither transformer/config.json (diffusers) nor config.json (official)",
        fix="give the directory that holds one of them",
    )


def _read_diffusers(root: Path, source: str) -> Architecture:
    transformer = read_config(root / "transformer" / "config.json")
    text_encoder = read_config(root / "text_encoder" / "config.json")
    vae = read_config(root / "vae" / "config.json")
    architecture = Architecture(
        source=source,
        transformer=_transformer(transformer),
        text_encoder=_text_encoder(text_encoder),
        vae=_vae(vae),
    )
    _check_fit(architecture, root)
    return architecture


def _read_official(root: Path) -> Architecture:
    fields = read_config(root / "config.json")
    fields.require("model_type", "t2v")
    fields.require("eps", NORM_EPSILON, missing_is_fine=True)
    heads, width = fields.integer("num_heads"), fields.integer("dim")
    if width % heads:
        raise fields.problem(f"dim={width} is not a multiple of num_heads={heads}")
    bundled = read_architecture("t2v_14b", None)
    architecture = Architecture(
        source=str(root),
        transformer=Transformer(
            num_layers=fields.integer("num_layers"),
            num_attention_heads=heads,
            attention_head_dim=width // heads,
            ffn_dim=fields.integer("ffn_dim"),
            in_channels=fields.integer("in_dim"),
            out_channels=fields.integer("out_dim"),
            patch_size=fields.triple("patch_size", OFFICIAL_PATCH),
            text_dim=fields.integer("text_dim", OFFICIAL_TEXT_DIM),
            freq_dim=fields.integer("freq_dim"),
            cross_attn_norm=fields.flag("cross_attn_norm", True),
            rope_max_seq_len=OFFICIAL_ROPE_LENGTH,
        ),
        text_encoder=text_encoder_sizes(root, bundled.text_encoder),
        vae=vae_sizes(root, bundled.vae),
    )
    text_dim = architecture.transformer.text_dim
    if text_dim != bundled.text_encoder.d_model and not (root / TEXT_ENCODER_FILE).exists():
        raise MissingError(
            f"checkpoint file {root / TEXT_ENCODER_FILE} is missing: text_dim={text_dim} needs a text encoder of that "
            "width, and the official one is wider or narrower",
            fix=COMPLETE,
        )
    _check_fit(architecture, root)
    return architecture


def _transformer(fields: Fields) -> Transformer:
    fields.require("_class_name", "WanTransformer3DModel")
    fields.require("image_dim", None, missing_is_fine=True)
    fields.require("added_kv_proj_dim", None, missing_is_fine=True)
    fields.require("qk_norm", "rms_norm_across_heads", missing_is_fine=True)
    fields.require("eps", NORM_EPSILON, missing_is_fine=True)
    return Transformer(
        num_layers=fields.integer("num_layers"),
        num_attention_heads=fields.integer("num_attention_heads"),
        attention_head_dim=fields.integer("attention_head_dim"),
        ffn_dim=fields.integer("ffn_dim"),
        in_channels=fields.integer("in_channels"),
        out_channels=fields.integer("out_channels"),
        patch_size=fields.triple("patch_size"),
        text_dim=fields.integer("text_dim"),
        freq_dim=fields.integer("freq_dim"),
        cross_attn_norm=fields.flag("cross_attn_norm", True),
        rope_max_seq_len=fields.integer("rope_max_seq_len", OFFICIAL_ROPE_LENGTH),
    )


def _text_encoder(fields: Fields) -> TextEncoder:
    fields.require("model_type", "umt5")
    fields.require("layer_norm_epsilon", NORM_EPSILON, missing_is_fine=True)
    fields.require("relative_attention_max_distance", FARTHEST_POSITION, missing_is_fine=True)
    projection = fields.text("feed_forward_proj", ("gated-gelu", "gated-silu", "gated-relu"))
    default_activation = "gelu_new" if projection == "gated-gelu" else projection.removeprefix("gated-")
    return TextEncoder(
        vocab_size=fields.integer("vocab_size"),
        d_model=fields.integer("d_model"),
        d_kv=fields.integer("d_kv"),
        num_heads=fields.integer("num_heads"),
        d_ff=fields.integer("d_ff"),
        num_layers=fields.integer("num_layers"),
        relative_attention_num_buckets=fields.integer("relative_attention_num_buckets"),
        dense_act_fn=fields.text("dense_act_fn", ("gelu_new", "gelu", "silu", "relu"), default_activation),
    )


def _vae(fields: Fields) -> Vae:
    fields.require("_class_name", "AutoencoderKLWan")
    fields.require("is_residual", False, missing_is_fine=True)
    fields.require("patch_size", None, missing_is_fine=True)
    fields.require("attn_scales", [], missing_is_fine=True)
    multipliers = fields.integers("dim_mult")
    base = fields.integer("base_dim")
    downsample = fields.flags("temperal_downsample")
    if len(downsample) != len(multipliers) - 1:
        raise fields.problem("temperal_downsample needs one entry per level of dim_mult but the last")
    return Vae(
        base_dim=base,
        decoder_base_dim=fields.integer("decoder_base_dim", base),
        z_dim=fields.integer("z_dim"),
        dim_mult=multipliers,
        num_res_blocks=fields.integer("num_res_blocks"),
        temperal_downsample=downsample,
        in_channels=fields.integer("in_channels", 3),
        out_channels=fields.integer("out_channels", 3),
        latents_mean=fields.numbers("latents_mean"),
        latents_std=fields.numbers("latents_std"),
    )


def _check_fit(architecture: Architecture, root: Path) -> None:
    """The three networks must hand each other tensors of the same width."""
    text, transformer, vae = architecture.text_encoder, architecture.transformer, architecture.vae
    pairs = (
        ("text_encoder d_model", text.d_model, "transformer text_dim", transformer.text_dim),
        ("transformer out_channels", transformer.out_channels, "vae z_dim", vae.z_dim),
        ("transformer in_channels", transformer.in_channels, "vae z_dim", vae.z_dim),
    )
    for name, value, other, expected in pairs:
        if value != expected:
            raise MissingError(f"checkpoint {root}: {name} {value} does not fit {other} {expected}")


def read_config(path: Path) -> Fields:
    """Parse one JSON configuration file.

    Raises:
        MissingError: The file is missing or unreadable.
        DamagedFileError: The file is not a JSON object.
    """
    return Fields(path, json_object(path))
