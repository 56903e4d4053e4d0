"""Architecture from a checkpoint directory: both layouts, and every way they can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from perfkit_wan2_1.estimate import estimate
from perfkit_wan2_1.metadata import VARIANTS, read_architecture
from perfkit_wan2_1.options import WanModelOptions, WanWorkload

from perfkit_core.errors import DamagedFileError, MissingError, PerfkitError
from perfkit_core.specs import ModelRequest

OFFICIAL = {
    "_class_name": "WanModel",
    "dim": 1536,
    "eps": 1e-06,
    "ffn_dim": 8960,
    "freq_dim": 256,
    "in_dim": 16,
    "model_type": "t2v",
    "num_heads": 12,
    "num_layers": 30,
    "out_dim": 16,
    "text_len": 512,
}
"""What the official 1.3B checkpoint's config.json holds."""


def total(checkpoint: Path | None, variant: str = "t2v_14b") -> Any:
    request = ModelRequest(variant=variant, options=WanModelOptions(), checkpoint=checkpoint)
    return estimate(request, WanWorkload(num_frames=5, height=64, width=64)).total()


@pytest.fixture
def diffusers_layout(tmp_path: Path) -> Path:
    return Path(shutil.copytree(VARIANTS / "t2v_1_3b", tmp_path / "checkpoint"))


@pytest.fixture
def official_layout(tmp_path: Path) -> Path:
    root = tmp_path / "official"
    root.mkdir()
    (root / "config.json").write_text(json.dumps(OFFICIAL))
    return root


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_both_layouts_describe_the_bundled_variant(diffusers_layout: Path, official_layout: Path) -> None:
    bundled = total(None, "t2v_1_3b")
    assert total(diffusers_layout) == bundled
    assert total(official_layout) == bundled
    request = ModelRequest(variant="t2v_14b", options=WanModelOptions(), checkpoint=official_layout)
    assert estimate(request, WanWorkload()).architecture == str(official_layout)


def test_a_checkpoint_of_another_size_is_followed(diffusers_layout: Path) -> None:
    edit(diffusers_layout / "transformer" / "config.json", lambda config: config.update(num_layers=31))
    assert total(diffusers_layout).parameters > total(None, "t2v_1_3b").parameters


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_every_file_is_needed_and_named(diffusers_layout: Path, part: str) -> None:
    (diffusers_layout / "model_index.json").write_text("{}")
    path = diffusers_layout / part / "config.json"
    path.unlink()
    with pytest.raises(MissingError) as raised:
        total(diffusers_layout)
    assert str(path) in raised.value.message
    path.write_text("{ not json")
    with pytest.raises(DamagedFileError) as damaged:
        total(diffusers_layout)
    assert str(path) in damaged.value.message
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PerfkitError):
        total(diffusers_layout)
    path.write_text("[1, 2]")
    with pytest.raises(DamagedFileError):
        total(diffusers_layout)


REQUIRED = {
    "transformer": ["num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim", "patch_size", "text_dim"],
    "text_encoder": ["vocab_size", "d_model", "d_kv", "num_heads", "d_ff", "num_layers", "feed_forward_proj"],
    "vae": ["base_dim", "z_dim", "dim_mult", "num_res_blocks", "temperal_downsample"],
}


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, fields in REQUIRED.items() for field in fields])
def test_every_field_is_needed_and_named(diffusers_layout: Path, part: str, field: str) -> None:
    path = diffusers_layout / part / "config.json"
    edit(path, lambda config: config.pop(field))
    with pytest.raises(MissingError) as raised:
        total(diffusers_layout)
    assert str(path) in raised.value.message
    assert repr(field) in raised.value.message


@pytest.mark.parametrize(
    "field", ["dim", "ffn_dim", "num_heads", "num_layers", "in_dim", "out_dim", "freq_dim", "model_type"]
)
def test_every_official_field_is_needed_and_named(official_layout: Path, field: str) -> None:
    edit(official_layout / "config.json", lambda config: config.pop(field))
    with pytest.raises(MissingError, match=field):
        total(official_layout)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("transformer", "num_layers", 0),
        ("transformer", "num_layers", -1),
        ("transformer", "num_layers", 2.5),
        ("transformer", "num_layers", True),
        ("transformer", "num_layers", "40"),
        ("transformer", "num_layers", 10**12),
        ("transformer", "patch_size", [1, 2]),
        ("transformer", "image_dim", 1280),
        ("transformer", "added_kv_proj_dim", 5120),
        ("transformer", "_class_name", "FluxTransformer2DModel"),
        ("transformer", "text_dim", 512),
        ("transformer", "in_channels", 36),
        ("text_encoder", "model_type", "t5"),
        ("text_encoder", "feed_forward_proj", "relu"),
        ("vae", "temperal_downsample", [True]),
        ("vae", "dim_mult", []),
        ("vae", "patch_size", 2),
        ("vae", "is_residual", True),
        ("vae", "attn_scales", [0.5]),
    ],
)
def test_what_is_not_modelled_is_refused(diffusers_layout: Path, part: str, field: str, value: object) -> None:
    edit(diffusers_layout / part / "config.json", lambda config: config.update({field: value}))
    with pytest.raises(MissingError) as raised:
        total(diffusers_layout)
    assert field in raised.value.message
    assert "\n" not in raised.value.message


def test_official_image_to_video_is_refused(official_layout: Path) -> None:
    edit(official_layout / "config.json", lambda config: config.update(model_type="i2v", in_dim=36))
    with pytest.raises(MissingError, match="model_type is 'i2v'"):
        total(official_layout)


def test_heads_must_divide_the_width(official_layout: Path) -> None:
    edit(official_layout / "config.json", lambda config: config.update(num_heads=7))
    with pytest.raises(MissingError, match="not a multiple of num_heads"):
        total(official_layout)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("x"), lambda path: path.mkdir()])
def test_a_directory_without_a_model_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "checkpoint"
    make(path)
    with pytest.raises(MissingError) as raised:
        total(path)
    assert str(path) in raised.value.message


def test_bundled_variants_are_complete() -> None:
    for variant in VARIANTS.iterdir():
        assert read_architecture(variant.name, None).source == f"bundled:{variant.name}"
