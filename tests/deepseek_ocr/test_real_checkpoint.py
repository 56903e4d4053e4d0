"""Weights from a checkpoint with the official names, written here by a second route, and ones that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from perfkit_deepseek_ocr.metadata import VARIANTS
from perfkit_deepseek_ocr.options import OcrModelOptions
from safetensors.torch import save_file

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.specs import ModelRequest

from .real import LOAD, SMALL, built, read, request

NAMES = {
    "sam_model.patch_embed.proj.weight": "vision_tower.sam_encoder.patch_embed.projection.weight",
    "sam_model.blocks.1.norm2.bias": "vision_tower.sam_encoder.layers.1.layer_norm2.bias",
    "sam_model.blocks.2.attn.rel_pos_h": "vision_tower.sam_encoder.layers.2.attn.rel_pos_h",
    "sam_model.neck.3.weight": "vision_tower.sam_encoder.neck.layer_norm2.weight",
    "sam_model.net_3.weight": "vision_tower.sam_encoder.proj.conv2.weight",
    "vision_model.transformer.layers.1.mlp.fc1.weight": "vision_tower.vision_encoder.encoder.layers.1.mlp.fc1.weight",
    "vision_model.pre_layrnorm.weight": "vision_tower.vision_encoder.pre_layrnorm.weight",
    "projector.layers.bias": "multi_modal_projector.bias",
    "view_seperator": "view_separator",
    "layers.2.mlp.gate.weight": "language_model.layers.2.mlp.gate.weight",
    "norm.weight": "language_model.norm.weight",
}
"""Some official names and the library's, both below ``model``."""


def official(model: Any) -> dict[str, torch.Tensor]:
    """Let the library itself write its parameters under the names that it reads."""
    from transformers.core_model_loading import revert_weight_conversion

    return {name: tensor.contiguous() for name, tensor in revert_weight_conversion(model, model.state_dict()).items()}


@pytest.fixture(scope="module")
def source() -> Mapping[str, Any]:
    return LOAD(request(seed=11))


@pytest.fixture(scope="module")
def tensors(source: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return official(source["model"])


def write(root: Path, tensors: Mapping[str, torch.Tensor], *, shards: int = 1) -> Path:
    root.mkdir(exist_ok=True)
    shutil.copy(VARIANTS / "tiny" / "config.json", root / "config.json")
    if shards == 1:
        save_file(dict(tensors), root / "model.safetensors")
        return root
    places = {name: f"model-{index % shards + 1:05}-of-{shards:05}.safetensors" for index, name in enumerate(tensors)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name, place in places.items() if place == file}, root / file)
    (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return root


def load(checkpoint: Path, **options: Any) -> Any:
    asked = OcrModelOptions(**{"dtype": "float32", **options})
    return LOAD(ModelRequest(variant="default", options=asked, checkpoint=checkpoint, device="cpu", seed=1))["model"]


def test_the_names_are_the_official_ones(source: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    state = source["model"].state_dict()
    for theirs, ours in NAMES.items():
        assert torch.equal(tensors[f"model.{theirs}"], state[f"model.{ours}"])
    fused = tensors["model.vision_model.transformer.layers.0.self_attn.qkv_proj.weight"]
    assert fused.shape == (144, 48)
    assert tensors["model.layers.1.mlp.experts.7.gate_proj.weight"].shape == (48, 64)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("more", [(), ("patch_embedding.weight", "position_ids")])
def test_every_parameter_arrives(
    tmp_path: Path, source: Mapping[str, Any], tensors: dict[str, torch.Tensor], shards: int, more: tuple[str, ...]
) -> None:
    extra = {f"model.vision_model.embeddings.{name}": torch.arange(4)[None] for name in more}
    loaded = load(write(tmp_path / "c", {**tensors, **extra}, shards=shards))
    expected = source["model"].state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    answers = [read(built(SMALL, components=parts))[0] for parts in ({"model": loaded}, source)]
    assert torch.equal(*answers)


def test_weights_are_cast(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    loaded = load(write(tmp_path / "c", tensors), dtype="bfloat16")
    assert torch.equal(loaded.lm_head.weight, tensors["lm_head.weight"].bfloat16())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model.layers.1.mlp.experts.7.up_proj.weight": None}, r"lacks 1 tensor \(model\.layers\.1\.mlp\.experts\.7"),
        (
            {"model.image_newline": None, "model.newline": (64,)},
            r"lacks 1 .*image_newline.* and has 1 .*model\.newline",
        ),
        ({"model.norm.weight": (65,)}, r"model\.norm\.weight is \[65\], not \[64\]"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], changed: dict[str, Any], said: str
) -> None:
    held = {name: tensor for name, tensor in tensors.items() if name not in changed}
    held |= {name: torch.zeros(shape) for name, shape in changed.items() if shape}
    with pytest.raises(MissingError, match=said):
        load(write(tmp_path / "c", held))


def test_damaged_and_missing_files_are_named(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = write(tmp_path / "c", tensors) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedFileError, match=str(path)):
        load(tmp_path / "c")
    path.unlink()
    with pytest.raises(MissingError, match=str(path)):
        load(tmp_path / "c")
