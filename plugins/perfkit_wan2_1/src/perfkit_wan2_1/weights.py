"""Filling the real modules: storage on the device, then numbers from a seed or from a checkpoint.

Modules arrive built on torch's meta device with every parameter in its final element type, so a
parameter exists once, on the device, and never as a float32 copy in host memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit_core.checkpoints import StoredTensor, safetensors, some
from perfkit_core.errors import MissingError
from perfkit_wan2_1.official_names import text_encoder_name, transformer_name, vae_name
from perfkit_wan2_1.official_sizes import TEXT_ENCODER_FILE, VAE_FILE
from perfkit_wan2_1.torch_archive import torch_file

_DIFFUSERS_STEM = "diffusion_pytorch_model"
_TRANSFORMERS_STEM = "model"
Matched = Mapping[str, Sequence[tuple[str, StoredTensor]]]
"""For each parameter the tensors of a checkpoint that hold it, with their names there; tied ones may have two."""

_SEEDS = {"text_encoder": 0, "transformer": 1, "vae": 2}
_MANY_SEEDS = 2**62


def materialise(module: Any, device: str) -> None:
    """Give every parameter of ``module`` storage on ``device``; tied parameters stay one tensor.

    The numbers are whatever lies in memory. Tables that a module computes when it is built are built again.
    """
    import torch

    made: dict[int, tuple[Any, Any]] = {}  # the old parameter is kept, so that its id stays taken
    for owner in list(module.modules()):
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if id(parameter) not in made:
                storage = torch.empty_like(parameter, device=device)
                made[id(parameter)] = (parameter, torch.nn.Parameter(storage, requires_grad=False))
            setattr(owner, name, made[id(parameter)][1])
    if hasattr(module, "rope"):
        rope = module.rope
        with torch.device("cpu"):
            rebuilt = type(rope)(rope.attention_head_dim, rope.patch_size, rope.max_seq_len)
        module.rope = rebuilt.to(device).eval()
    left = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
    if left:
        raise TypeError(f"{type(module).__name__} computes {', '.join(left[:3])} in a way that is not known here")


def fill_randomly(network: str, module: Any, seed: int) -> None:
    """Draw every parameter on its device: normal, scaled so that activations keep their size.

    The same seed, device kind and element type give the same numbers.
    """
    import torch

    device = next(module.parameters()).device
    generator = torch.Generator(device=device).manual_seed((3 * seed + _SEEDS[network]) % _MANY_SEEDS)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            deviation = _deviation(name, tuple(parameter.shape), module)
            if deviation is None:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(0.0, deviation, generator=generator)


def _deviation(name: str, shape: tuple[int, ...], module: Any) -> float | None:
    """Return the standard deviation for a parameter; None for the constants, biases and norms."""
    if name == "shared.weight":
        return 1.0
    if name.endswith("scale_shift_table"):
        return 1 / math.sqrt(shape[-1])
    if name.endswith((".bias", ".gamma")) or len(shape) < 2:
        return None
    deviation = 1 / math.sqrt(math.prod(shape[1:]))
    # UMT5 does not scale its scores; its queries are drawn smaller instead.
    return deviation / math.sqrt(module.config.d_kv) if name.endswith("SelfAttention.q.weight") else deviation


def checkpoint_tensors(network: str, module: Any, checkpoint: Path) -> Matched:
    """Find every parameter of ``module`` in ``checkpoint``; nothing but names and shapes is read.

    Args:
        module: The network, on any device.

    Returns:
        What is stored for each parameter, by the parameter's name.

    Raises:
        MissingError: A file or tensor is missing, unexpected or of another shape.
        DamagedFileError: A file is truncated or cannot be parsed.
    """
    where, tensors, official = _tensors(network, module, checkpoint)
    aliases: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        stored = official(name)
        if stored is not None:
            aliases.setdefault(id(parameter), []).append(stored)
    groups = [(name, parameter, aliases[id(parameter)]) for name, parameter in module.named_parameters()]
    _check_names(network, where, tensors, [names for _, _, names in groups])
    _check_shapes(network, tensors, [(alias, parameter) for _, parameter, names in groups for alias in names])
    return {name: [(alias, tensors[alias]) for alias in names if alias in tensors] for name, _, names in groups}


def fill_from_checkpoint(network: str, module: Any, matched: Matched) -> None:
    """Copy every parameter of ``module`` from where it is stored, cast to the type it is held in.

    Raises:
        MissingError: A tensor that is stored twice differs.
        DamagedFileError: A file cannot be read to its end.
    """
    for name, parameter in module.named_parameters():
        _copy(network, parameter, matched[name])


def _tensors(
    network: str, module: Any, checkpoint: Path
) -> tuple[Path, Mapping[str, StoredTensor], Callable[[str], str | None]]:
    """Return where a network's tensors lie, the tensors, and how they are named there."""
    folder = checkpoint / network
    if (checkpoint / "transformer").is_dir() or (checkpoint / "model_index.json").is_file():
        stem = _TRANSFORMERS_STEM if network == "text_encoder" else _DIFFUSERS_STEM
        return folder, safetensors(folder, stem), lambda name: name
    if network == "transformer":
        return checkpoint, safetensors(checkpoint, _DIFFUSERS_STEM), transformer_name
    if network == "text_encoder":
        path = checkpoint / TEXT_ENCODER_FILE
        return path, torch_file(path), text_encoder_name
    path, blocks = checkpoint / VAE_FILE, int(module.config.num_res_blocks) + 1
    return path, torch_file(path), lambda name: vae_name(name, blocks_per_level=blocks)


def _check_names(network: str, where: Path, tensors: Mapping[str, StoredTensor], groups: list[list[str]]) -> None:
    missing = [aliases[0] for aliases in groups if not any(alias in tensors for alias in aliases)]
    unexpected = sorted(set(tensors) - {alias for aliases in groups for alias in aliases})
    if not missing and not unexpected:
        return
    problems = [f"lacks {some(missing)}"] if missing else []
    if unexpected:
        files = sorted({tensors[name].path.name for name in unexpected})
        problems.append(f"has {some(unexpected)} too many, in {', '.join(files[:3])}")
    raise MissingError(
        f"checkpoint {where}: {network} {' and '.join(problems)}",
        fix="give the checkpoint of a Wan2.1 text-to-video model",
    )


def _check_shapes(network: str, tensors: Mapping[str, StoredTensor], wanted: list[tuple[str, Any]]) -> None:
    wrong = {
        name: f"{name} is {list(tensors[name].shape)}, not {list(parameter.shape)}"
        for name, parameter in wanted
        if name in tensors and tensors[name].shape != tuple(parameter.shape)
    }
    if wrong:
        raise MissingError(
            f"checkpoint file {tensors[min(wrong)].path} does not fit the {network}: "
            f"{some(list(wrong.values()))} of another shape",
            fix="its sizes come from config.json: take both from one checkpoint",
        )


def _copy(network: str, parameter: Any, stored: Sequence[tuple[str, StoredTensor]]) -> None:
    import torch

    with torch.no_grad():
        parameter.copy_(stored[0][1].read())
        for name, again in stored[1:]:
            if not torch.equal(parameter, again.read().to(parameter.device, parameter.dtype)):
                raise MissingError(
                    f"checkpoint file {again.path}: {name} differs from {stored[0][0]}, "
                    f"which is the same tensor in the {network}"
                )
