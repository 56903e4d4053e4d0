"""Peak memory formulas against live tensors of the real modules on the meta device."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from perfkit_deepseek_ocr.architecture import Architecture
from perfkit_deepseek_ocr.batches import geometries_of
from perfkit_deepseek_ocr.estimate import architecture_of, estimate
from perfkit_deepseek_ocr.geometry import Geometry
from perfkit_deepseek_ocr.memory import cache_bytes, decode_peak, prefill_peak
from perfkit_deepseek_ocr.modules import ocr_module
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.references import filled_cache
from transformers import DynamicCache

from perfkit_core.specs import ModelRequest

from .live_memory import peak_bytes

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"

SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "gundam": ({}, "last"),
    "gundam_3x3": ({"grid": "3x3", "batch_size": 2}, "last"),
    "tiny": ({"mode": "tiny"}, "last"),
    "large": ({"mode": "large", "batch_size": 2}, "last"),
    "long_prompt": ({"mode": "tiny", "prompt_tokens": 3000}, "last"),
    "all_positions": ({"mode": "tiny", "prompt_tokens": 3000, "batch_size": 2}, "all"),
}


@pytest.fixture(scope="module", params=[("default", "bfloat16"), ("tiny", "bfloat16"), ("tiny", "float32")])
def built(request: pytest.FixtureRequest) -> tuple[Architecture, str, Any]:
    variant, dtype = request.param
    architecture = architecture_of(ModelRequest(variant=variant, options=OcrModelOptions(dtype=dtype)))
    with torch.device("meta"):
        model = ocr_module(architecture, dtype)
    model.set_experts_implementation("grouped_mm")
    # The real one compares counts of values, which meta tensors do not have.
    model.model.get_placeholder_mask = lambda input_ids, inputs_embeds, image_features: torch.empty(
        *input_ids.shape, 1, dtype=torch.bool, device="meta"
    )
    return architecture, dtype, model


def geometry_for(shape: str, dtype: str) -> Geometry:
    workload, positions = SHAPES[shape]
    return geometries_of(OcrModelOptions(dtype=dtype, head_positions=positions), OcrWorkload(**workload))[-1]


def run_prefill(model: Any, geometry: Geometry) -> None:
    def pixels(index: int) -> torch.Tensor:
        view = geometry.views[index]
        return torch.empty(view.images, 3, view.size, view.size, dtype=model.dtype, device="meta")

    tiles: dict[str, Any] = {}
    if geometry.tiles:
        count = geometry.tiles[0] * geometry.tiles[1]
        tiles = {
            "pixel_values_local": pixels(1),
            "num_local_patches": [count] * geometry.batch,
            "patches_grid": [list(geometry.tiles)] * geometry.batch,
        }
    model(
        input_ids=torch.empty(geometry.batch, geometry.prompt, dtype=torch.long, device="meta"),
        position_ids=torch.arange(geometry.prompt, device="meta")[None],
        attention_mask={"full_attention": None},
        past_key_values=DynamicCache(config=model.config.text_config),
        use_cache=True,
        logits_to_keep=0 if geometry.all_positions else 1,
        pixel_values=pixels(0),
        **tiles,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_prefill_peak(built: tuple[Architecture, str, Any], shape: str) -> None:
    architecture, dtype, model = built
    geometry = geometry_for(shape, dtype)
    measured = peak_bytes(model, lambda: run_prefill(model, geometry))
    assert prefill_peak(architecture, geometry).total == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_decode_peak(built: tuple[Architecture, str, Any], shape: str) -> None:
    architecture, dtype, model = built
    geometry = geometry_for(shape, dtype)
    cache = filled_cache(model.config.text_config, geometry, geometry.last_context - 1)
    # One by one: only the cache may name its tensors, so that they are freed as it grows.
    cached = (tensor for layer in cache.layers for tensor in (layer.keys, layer.values))
    pixels = [
        torch.empty(view.images, 3, view.size, view.size, dtype=model.dtype, device="meta") for view in geometry.views
    ]

    def step() -> None:
        ids = torch.empty(geometry.batch, 1, dtype=torch.long, device="meta")
        position = torch.full((1, 1), geometry.last_context - 1, device="meta")
        mask = {"full_attention": None}
        model(input_ids=ids, position_ids=position, attention_mask=mask, past_key_values=cache, use_cache=True)

    measured = peak_bytes(model, step, chain(cached, pixels))
    assert decode_peak(architecture, geometry).total == pytest.approx(measured, rel=0.01)


def test_the_cache_takes_61440_bytes_a_token() -> None:
    architecture = architecture_of(ModelRequest(variant="default", options=OcrModelOptions()))
    geometry = geometries_of(OcrModelOptions(), OcrWorkload())[-1]
    assert cache_bytes(architecture.decoder, geometry, 1) == 61_440


def test_the_estimate_holds_weights_cache_and_the_worst_stage() -> None:
    tree = estimate(ModelRequest(variant="default", options=OcrModelOptions()), OcrWorkload())
    memory = tree.memory
    assert memory.weight_bytes == tree.total().weight_bytes == 2 * 3_335_504_128
    assert memory.kv_cache_bytes == 61_440 * (703 + 511)
    assert memory.peak_bytes >= memory.weight_bytes + memory.kv_cache_bytes + memory.activation_bytes["decode"]
    assert memory.peak_bytes >= memory.weight_bytes + memory.activation_bytes["prefill"]


@pytest.mark.parametrize("run", ["ocr_eager", "ocr_again"])
@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_estimates_hold_against_what_an_h200_measured(run: str, stage: str) -> None:
    """Of the committed runs, whole and above what was allocated once the model was loaded."""
    path = RESULTS / "2026-11-21-h200-deepseek_ocr" / run / "metrics.json"
    found = json.loads(path.read_text())
    measured = found["memory"][stage]["allocated_bytes"]
    memory = estimate(ModelRequest(variant="default", options=OcrModelOptions()), OcrWorkload()).memory
    assert memory.peak(stage) == pytest.approx(measured, rel=0.05)
    above = memory.peak(stage) - memory.resident(stage)
    assert above == pytest.approx(measured - found["loaded_bytes"], rel=0.15)
