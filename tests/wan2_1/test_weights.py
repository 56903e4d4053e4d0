"""Real modules with weights: random ones from a seed, and checkpoints in both layouts, whole and broken."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from perfkit_wan2_1.estimate import estimate
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from safetensors.torch import load_file, save_file
from transformers import UMT5EncoderModel

from perfkit_core.errors import DamagedFileError, MissingError, PerfkitError
from perfkit_core.specs import ModelRequest

from .tiny_checkpoint import (
    TEXT_FILE,
    VAE_FILE,
    modules,
    official_tensors,
    write_diffusers,
    write_official,
)

WRITERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Path]] = {
    "diffusers": write_diffusers,
    "diffusers_sharded": lambda root, source: write_diffusers(root, source, shard="400KB"),
    "official": write_official,
    "official_sharded": lambda root, source: write_official(root, source, shards=3),
}


@pytest.fixture(scope="module")
def source() -> Mapping[str, Any]:
    return modules()


@pytest.fixture(scope="module")
def written(source: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write(root / name, source) for name, write in WRITERS.items()}


@pytest.fixture
def diffusers_layout(written: Mapping[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written["diffusers_sharded"], tmp_path / "copy"))


@pytest.fixture
def official_layout(written: Mapping[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written["official"], tmp_path / "copy"))


def run(found: Mapping[str, Any]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 16, 2, 4, 6, generator=generator)
    with torch.no_grad():
        words = found["text_encoder"](input_ids=torch.tensor([[5, 9, 700, 1]])).last_hidden_state
        noise = found["transformer"](latents, torch.tensor([500]), words, return_dict=False)[0]
        return [words, noise, found["vae"].decode(noise, return_dict=False)[0]]


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_weights_and_outputs(
    layout: str, source: Mapping[str, Any], written: Mapping[str, Path]
) -> None:
    found = modules(written[layout])
    for name, module in source.items():
        expected, state = module.state_dict(), found[name].state_dict()
        assert expected.keys() == state.keys()
        assert all(torch.equal(expected[key], state[key]) for key in expected)
    outputs = run(found)
    assert all(torch.equal(a, b) for a, b in zip(run(source), outputs, strict=True))
    assert all(output.isfinite().all() and output.std() > 0.01 for output in outputs)


def test_the_sharded_layouts_are_sharded(written: Mapping[str, Path]) -> None:
    assert len(list((written["diffusers_sharded"] / "transformer").glob("*.safetensors"))) > 1
    assert len(list((written["diffusers_sharded"] / "vae").glob("*.safetensors"))) > 1
    assert len(list(written["official_sharded"].glob("*.safetensors"))) == 3


def test_official_names_are_those_that_diffusers_converts_from(source: Mapping[str, Any]) -> None:
    tensors = official_tensors(source)
    for name, convert in (
        ("transformer", convert_wan_transformer_to_diffusers),
        ("vae", convert_wan_vae_to_diffusers),
    ):
        converted, expected = convert(dict(tensors[name])), source[name].state_dict()
        assert converted.keys() == expected.keys()
        assert all(torch.equal(converted[key], expected[key]) for key in expected)


def test_the_official_text_encoder_computes_the_same(source: Mapping[str, Any], written: Mapping[str, Path]) -> None:
    weights = torch.load(written["official"] / TEXT_FILE, weights_only=True)
    words = torch.tensor([[5, 9, 700, 1, 3, 3]])
    with torch.no_grad():
        expected = source["text_encoder"](input_ids=words).last_hidden_state
    torch.testing.assert_close(official_text_encoder(weights, words, layers=2, heads=4), expected)


def official_text_encoder(weights: Mapping[str, torch.Tensor], words: torch.Tensor, layers: int, heads: int) -> Any:
    """What the official encoder computes, by its own names: positions in every block, scores unscaled."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weights[f"{name}.weight"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ weights[f"{name}.weight"].T

    length = words.shape[1]
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    bucket = (distance > 0).long() * 16 + distance.abs()  # exact for short distances
    x = weights["token_embedding.weight"][words]
    for block in (f"blocks.{index}" for index in range(layers)):
        y = norm(x, f"{block}.norm1")
        q, k, v = (linear(y, f"{block}.attn.{part}").unflatten(-1, (heads, -1)).transpose(1, 2) for part in "qkv")
        bias = weights[f"{block}.pos_embedding.embedding.weight"][bucket].permute(2, 0, 1)
        attended = torch.softmax(q @ k.transpose(-1, -2) + bias, -1) @ v
        x = x + linear(attended.transpose(1, 2).flatten(2), f"{block}.attn.o")
        y = norm(x, f"{block}.norm2")
        gate = torch.nn.functional.gelu(linear(y, f"{block}.ffn.gate.0"), approximate="tanh")
        x = x + linear(linear(y, f"{block}.ffn.fc1") * gate, f"{block}.ffn.fc2")
    return norm(x, "norm")


@pytest.mark.parametrize("layout", ["diffusers", "official"])
def test_weights_are_cast_to_the_requested_types(
    layout: str, source: Mapping[str, Any], written: Mapping[str, Path]
) -> None:
    found = modules(written[layout], dtype="bfloat16", vae_dtype="float16")
    kept = {"time_embedder", "scale_shift_table", "norm2"}
    for name, parameter in found["transformer"].named_parameters():
        expected = torch.float32 if kept & set(name.split(".")) else torch.bfloat16
        assert parameter.dtype == expected, name
    assert {parameter.dtype for parameter in found["text_encoder"].parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in found["vae"].parameters()} == {torch.float16}
    expected = source["text_encoder"].state_dict()
    for key, tensor in found["text_encoder"].state_dict().items():
        assert torch.equal(tensor, expected[key].bfloat16())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_text_encoder_is_as_the_library_loads_it(dtype: str, written: Mapping[str, Path]) -> None:
    """In float16 the library keeps ``wo`` in float32: types, bytes and results are those of its own loading."""
    kind = getattr(torch, dtype)
    theirs = UMT5EncoderModel.from_pretrained(written["diffusers"] / "text_encoder", dtype=kind).eval()
    ours = modules(written["diffusers"], dtype=dtype)["text_encoder"]
    types = {name: parameter.dtype for name, parameter in theirs.named_parameters()}
    assert {name: parameter.dtype for name, parameter in ours.named_parameters()} == types
    assert (torch.float32 in types.values()) == (dtype == "float16")
    request = ModelRequest(variant="tiny", options=WanModelOptions(dtype=dtype))
    stages = dict(estimate(request, WanWorkload(num_frames=1, height=32, width=32)).stages)
    held = sum(parameter.nbytes for parameter in theirs.parameters())
    assert stages["text_encoder"].inclusive.weight_bytes == held
    words = torch.arange(3, 40)[None]
    with torch.no_grad():
        assert torch.equal(ours(input_ids=words).last_hidden_state, theirs(input_ids=words).last_hidden_state)


def test_random_weights_follow_the_seed_and_match_the_cost_tree() -> None:
    first, again, other = (modules(seed=seed, dtype="bfloat16") for seed in (1, 1, 2))
    for name in first:
        one, same, different = (tuple(found[name].parameters()) for found in (first, again, other))
        assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(one, different, strict=True))
    request = ModelRequest(variant="tiny", options=WanModelOptions())
    tree = estimate(request, WanWorkload(num_frames=1, height=32, width=32))
    for (_, stage), name in zip(tree.stages, ("text_encoder", "transformer", "vae"), strict=True):
        held = list(first[name].parameters())
        assert sum(parameter.numel() for parameter in held) == stage.inclusive.parameters
        assert sum(parameter.nbytes for parameter in held) == stage.inclusive.weight_bytes


def test_tied_and_computed_tensors_are_real() -> None:
    from diffusers import WanTransformer3DModel

    found = modules()
    encoder = found["text_encoder"]
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight
    plain = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=32, text_dim=64, ffn_dim=256, num_layers=1, cross_attn_norm=True
    )
    for name, table in plain.rope.named_buffers():
        assert torch.equal(table, dict(found["transformer"].rope.named_buffers())[name])
    for module in found.values():
        assert not module.training
        assert all(not tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


def test_without_weights_nothing_is_read(written: Mapping[str, Path], tmp_path: Path) -> None:
    for layout in ("diffusers", "official"):
        root = tmp_path / layout
        shutil.copytree(written[layout], root, ignore=shutil.ignore_patterns("*.safetensors"))
        found = modules(root, device="meta")
        assert all(tensor.is_meta for module in found.values() for tensor in module.parameters())


def test_the_sizes_of_the_official_files_are_estimated(written: Mapping[str, Path]) -> None:
    workload = WanWorkload(num_frames=5, height=64, width=64)
    bundled = estimate(ModelRequest(variant="tiny", options=WanModelOptions()), workload)
    request = ModelRequest(variant="t2v_14b", options=WanModelOptions(), checkpoint=written["official"])
    assert estimate(request, workload).total() == bundled.total()


def refused(checkpoint: Path, kind: type[PerfkitError], *named: str) -> str:
    with pytest.raises(kind) as raised:
        modules(checkpoint)
    message = raised.value.message
    for text in named:
        assert text in message, message
    assert "\n" not in str(raised.value)
    return message


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_missing_shard_is_named(diffusers_layout: Path) -> None:
    shard = sorted((diffusers_layout / "transformer").glob("*.safetensors"))[1]
    shard.unlink()
    refused(diffusers_layout, MissingError, "transformer", shard.name)


def test_a_missing_index_is_named(diffusers_layout: Path) -> None:
    index = diffusers_layout / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.unlink()
    refused(diffusers_layout, MissingError, str(index))


@pytest.mark.parametrize("network", ["transformer", "text_encoder", "vae"])
def test_missing_weights_are_named(diffusers_layout: Path, network: str) -> None:
    for path in (diffusers_layout / network).glob("*.safetensors*"):
        path.unlink()
    refused(diffusers_layout, MissingError, str(diffusers_layout / network))


@pytest.mark.parametrize("name", [TEXT_FILE, VAE_FILE, "diffusion_pytorch_model.safetensors"])
def test_official_files_are_needed_whole(official_layout: Path, name: str) -> None:
    path = official_layout / name
    _truncate(path)
    refused(official_layout, DamagedFileError, str(path))
    path.write_bytes(b"")
    refused(official_layout, DamagedFileError, str(path))
    path.unlink()
    refused(official_layout, MissingError, name.removesuffix(".safetensors"))


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../a.safetensors"}}', '{"weight_map": 1}']
)
def test_a_damaged_index_is_named(diffusers_layout: Path, content: str) -> None:
    index = diffusers_layout / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(content)
    refused(diffusers_layout, DamagedFileError, str(index))


def test_an_index_that_promises_too_much_is_named(diffusers_layout: Path) -> None:
    index = diffusers_layout / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    content = json.loads(index.read_text())
    shard = next(iter(content["weight_map"].values()))
    content["weight_map"]["decoder.extra.weight"] = shard
    index.write_text(json.dumps(content))
    refused(diffusers_layout, MissingError, shard, "decoder.extra.weight")


def _change(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    change(stored)
    if path.suffix == ".safetensors":
        save_file(stored, path)
    else:
        torch.save(stored, path)


OFFICIAL_TENSORS = {
    "diffusion_pytorch_model.safetensors": "blocks.1.ffn.0.weight",
    TEXT_FILE: "blocks.1.ffn.gate.0.weight",
    VAE_FILE: "decoder.upsamples.3.time_conv.weight",
}


@pytest.mark.parametrize(("name", "tensor"), OFFICIAL_TENSORS.items())
def test_missing_unexpected_and_misshapen_tensors_are_named(official_layout: Path, name: str, tensor: str) -> None:
    path = official_layout / name
    original = path.read_bytes()
    _change(path, lambda stored: stored.pop(tensor))
    refused(official_layout, MissingError, str(official_layout), f"lacks 1 tensor ({tensor})")
    path.write_bytes(original)
    _change(path, lambda stored: stored.update({"lora.up": torch.zeros(2), "lora.down": torch.zeros(2)}))
    refused(official_layout, MissingError, "2 tensors (lora.down, lora.up)", name)
    path.write_bytes(original)
    _change(path, lambda stored: stored.update({tensor: stored[tensor][:-1].clone()}))
    refused(official_layout, MissingError, str(path), f"{tensor} is [")


def test_a_checkpoint_of_another_model_is_refused(official_layout: Path) -> None:
    foreign = {f"model.layers.{index}.mlp.weight": torch.zeros(2, 2) for index in range(9)}
    save_file(foreign, official_layout / "diffusion_pytorch_model.safetensors")
    message = refused(official_layout, MissingError, "lacks", "has 9 tensors (model.layers.0.mlp.weight")
    assert len(message) < 600
    for name in (TEXT_FILE, VAE_FILE):
        original = (official_layout / name).read_bytes()
        torch.save(foreign, official_layout / name)
        refused(official_layout, MissingError, name, "lacks tensor")
        (official_layout / name).write_bytes(original)


def test_quantised_weights_are_refused(official_layout: Path) -> None:
    for name, tensor in OFFICIAL_TENSORS.items():
        path = official_layout / name
        original = path.read_bytes()
        _change(path, lambda stored, tensor=tensor: stored.update({tensor: stored[tensor].to(torch.int8)}))
        refused(official_layout, MissingError, str(path), tensor)
        path.write_bytes(original)


def test_tied_tensors_that_differ_are_refused(diffusers_layout: Path) -> None:
    path = diffusers_layout / "text_encoder" / "model.safetensors"
    for part in (diffusers_layout / "text_encoder").glob("*.safetensors*"):
        part.unlink()
    state = {name: tensor.clone() for name, tensor in modules()["text_encoder"].state_dict().items()}
    save_file(state, path)
    modules(diffusers_layout)
    state.pop("shared.weight")
    save_file(state, path)
    assert torch.equal(modules(diffusers_layout)["text_encoder"].shared.weight, state["encoder.embed_tokens.weight"])
    save_file({**state, "shared.weight": state["encoder.embed_tokens.weight"] + 1}, path)
    refused(diffusers_layout, MissingError, str(path), "encoder.embed_tokens.weight", "shared.weight")


class Payload:
    """Calls something when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("pwned",))


def test_a_file_that_asks_for_code_is_not_obeyed(
    official_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = official_layout / VAE_FILE
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"conv1.weight": Payload()}))
        archive.writestr("archive/version", "3\n")
    message = refused(official_layout, DamagedFileError, str(path))
    assert "mkdir" in message
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [{}, [], {"model": {"conv1.weight": torch.zeros(1)}}, {"conv1.weight": (3, 4)}])
def test_a_file_without_named_tensors_is_refused(official_layout: Path, content: object) -> None:
    torch.save(content, official_layout / VAE_FILE)
    refused(official_layout, MissingError, VAE_FILE, "no dictionary of tensors")


@pytest.mark.parametrize("name", ["data.json", "archive/other.pkl"])
def test_any_other_archive_is_refused(official_layout: Path, name: str) -> None:
    with zipfile.ZipFile(official_layout / TEXT_FILE, "w") as archive:
        archive.writestr(name, "{}")
    refused(official_layout, DamagedFileError, TEXT_FILE)
