"""Tiny Wan2.1 checkpoints in both layouts, written from randomly filled modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from perfkit_wan2_1.official_names import text_encoder_name, transformer_name, vae_name
from perfkit_wan2_1.options import WanModelOptions
from perfkit_wan2_1.plugin import perfkit_models
from safetensors.torch import save_file

from perfkit_core.specs import ModelRequest

LOAD = perfkit_models()[0].load
TEXT_FILE, VAE_FILE = "models_t5_umt5-xxl-enc-bf16.pth", "Wan2.1_VAE.pth"
OFFICIAL_CONFIG = {
    "_class_name": "WanModel",
    "dim": 128,
    "eps": 1e-06,
    "ffn_dim": 256,
    "freq_dim": 256,
    "in_dim": 16,
    "model_type": "t2v",
    "num_heads": 4,
    "num_layers": 2,
    "out_dim": 16,
    "text_dim": 64,
    "text_len": 512,
}


def modules(checkpoint: Path | None = None, *, seed: int = 7, device: str = "cpu", **options: Any) -> Mapping[str, Any]:
    """Return the tiny modules as the model's spec loads them; of another variant when a checkpoint is given."""
    # With a checkpoint the variant must not matter.
    variant = "tiny" if checkpoint is None else "t2v_14b"
    return LOAD(
        ModelRequest(
            variant=variant,
            options=WanModelOptions(**{"dtype": "float32", **options}),
            checkpoint=checkpoint,
            device=device,
            seed=seed,
        )
    )


def write_diffusers(root: Path, source: Mapping[str, Any], *, shard: str = "10GB") -> Path:
    """Let the libraries themselves write their layout."""
    for name in ("transformer", "text_encoder", "vae"):
        source[name].save_pretrained(root / name, max_shard_size=shard)
    return root


def official_tensors(source: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    """Return every network's tensors by their official names."""
    text = {text_encoder_name(name): tensor for name, tensor in source["text_encoder"].state_dict().items()}
    text.pop(None, None)
    vae = {vae_name(name, blocks_per_level=3): tensor for name, tensor in source["vae"].state_dict().items()}
    transformer = {transformer_name(name): tensor for name, tensor in source["transformer"].state_dict().items()}
    return {"transformer": transformer, "text_encoder": text, "vae": vae}


def write_official(root: Path, source: Mapping[str, Any], *, shards: int = 1) -> Path:
    """Write the official layout: safetensors and two ``.pth`` files."""
    root.mkdir(exist_ok=True)
    (root / "config.json").write_text(json.dumps(OFFICIAL_CONFIG))
    tensors = official_tensors(source)
    torch.save(tensors["text_encoder"], root / TEXT_FILE)
    torch.save(tensors["vae"], root / VAE_FILE)
    stem, transformer = "diffusion_pytorch_model", tensors["transformer"]
    if shards == 1:
        save_file(transformer, root / f"{stem}.safetensors")
        return root
    places = {
        name: f"{stem}-{index % shards + 1:05}-of-{shards:05}.safetensors" for index, name in enumerate(transformer)
    }
    for shard in set(places.values()):
        save_file({name: tensor for name, tensor in transformer.items() if places[name] == shard}, root / shard)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (root / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
    return root
