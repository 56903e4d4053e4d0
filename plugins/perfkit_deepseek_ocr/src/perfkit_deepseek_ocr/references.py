"""The calls that reading pages makes of the real modules, for ``perfkit verify``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.specs import ModelRequest
from perfkit_deepseek_ocr.batches import geometries_of
from perfkit_deepseek_ocr.estimate import model_options
from perfkit_deepseek_ocr.geometry import Geometry, View
from perfkit_deepseek_ocr.modules import build_modules
from perfkit_deepseek_ocr.options import OcrWorkload

EXPERTS = "batched_mm"
"""Form of the routed experts that the counter sees; it gathers one copy of the weights per token and expert."""

EVERY_STEP = 8
"""Decode steps up to which each one is run."""

EXPERTS_NOTE = f"routed experts in the form {EXPERTS}, the one that the counter sees, without their weight bytes"


def references(request: ModelRequest, workload: OcrWorkload) -> Iterator[Reference]:
    """Yield vision, language model and output head with every distinct call shape and its multiplicity.

    The whole network's own forward reads values, which meta tensors do not have; its parts do not.
    """
    geometries = geometries_of(model_options(request), workload)
    model = build_modules(request)["model"]
    model.set_experts_implementation(EXPERTS)
    language = model.model.language_model
    yield Reference(
        path="prefill/vision",
        module=vision_module(model),
        calls=[_of_batches(encode, geometry) for geometry in geometries],
        note="the encoders and the projector called one after the other on every view size",
    )
    yield Reference(
        path="prefill/language_model",
        module=language,
        calls=[_of_batches(prefill, geometry) for geometry in geometries],
        note=EXPERTS_NOTE,
    )
    heads = [
        _head_call(geometry, geometry.prompt if geometry.all_positions else 1, geometry.batches)
        for geometry in geometries
    ]
    yield Reference(path="prefill/lm_head", module=model.lm_head, calls=heads)
    if geometries[-1].decode_steps:
        samples = [(geometry, decode_samples(geometry)) for geometry in geometries]
        yield Reference(
            path="decode/language_model",
            module=language,
            calls=[
                ReferenceCall(run=_decode_at(geometry, keys), times=times * geometry.batches)
                for geometry, steps in samples
                for keys, times in steps
            ],
            note="; ".join([EXPERTS_NOTE, *(_sampling(geometry, steps) for geometry, steps in samples)]),
        )
        yield Reference(
            path="decode/lm_head",
            module=model.lm_head,
            calls=[_head_call(geometry, 1, geometry.batches * geometry.decode_steps) for geometry in geometries],
        )


def _of_batches(run: Callable[[Any, Geometry], object], geometry: Geometry) -> ReferenceCall:
    return ReferenceCall(run=lambda module: run(module, geometry), times=geometry.batches)


def vision_module(model: Any) -> Any:
    """Return the encoders, the projector and the separators of ``model`` as one module, under their region names."""
    import torch

    class Vision(torch.nn.Module):
        """What ``get_image_features`` calls and holds."""

        def __init__(self) -> None:
            super().__init__()
            inner = model.model
            self.sam = inner.vision_tower.sam_encoder
            self.clip = inner.vision_tower.vision_encoder
            self.projector = inner.multi_modal_projector
            self.image_newline, self.view_separator = inner.image_newline, inner.view_separator

        def forward(self, views: list[Any]) -> list[Any]:
            """Return the projected features of every view."""
            return [self.encode(pixels) for pixels in views]

        def encode(self, pixels: Any) -> Any:
            """Return the projected features of the images of one view."""
            local = self.sam(pixels).last_hidden_state
            joined = self.clip(local).last_hidden_state[:, 1:]
            return self.projector(torch.cat([joined, local.flatten(2).transpose(1, 2)], dim=-1))

    return Vision()


def encode(module: Any, geometry: Geometry) -> object:
    """Encode the views of one batch."""
    return module([_pixels(view, geometry.dtype) for view in geometry.views])


def prefill(module: Any, geometry: Geometry) -> object:
    """Run the language model on one batch of prompts and return the cache."""
    import torch
    from transformers import DynamicCache

    ids = torch.empty(geometry.batch, geometry.prompt, dtype=torch.long, device="meta")
    cache = DynamicCache(config=module.config)
    positions = torch.arange(geometry.prompt, device="meta")[None]
    return _forward(module, ids, positions, cache).past_key_values


def decode(module: Any, geometry: Geometry, keys: int) -> object:
    """Run the language model on one new token per sequence, the last of ``keys`` that it attends to."""
    import torch

    cache = filled_cache(module.config, geometry, keys - 1)
    ids = torch.empty(geometry.batch, 1, dtype=torch.long, device="meta")
    return _forward(module, ids, torch.full((1, 1), keys - 1, device="meta"), cache)


def filled_cache(config: Any, geometry: Geometry, tokens: int) -> Any:
    """Return a cache as ``tokens`` earlier tokens leave it."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    shape = (geometry.batch, config.num_key_value_heads, tokens, config.head_dim)
    for layer in range(config.num_hidden_layers):
        keys, values = (torch.empty(shape, dtype=getattr(torch, geometry.dtype), device="meta") for _ in range(2))
        cache.update(keys, values, layer)
    return cache


def decode_samples(geometry: Geometry) -> list[tuple[int, int]]:
    """Return numbers of keys and how many steps each stands for; together the sum over all steps is exact.

    What a step costs is linear in its keys, so two steps as far from the first as from the last cost what any
    other such pair does. The first two, the last two and two about the middle are run.
    """
    first, last, steps = geometry.first_context, geometry.last_context, geometry.decode_steps
    if steps <= EVERY_STEP:
        return [(keys, 1) for keys in range(first, last + 1)]
    pairs, odd = divmod(steps, 2)
    quarter = steps // 4
    samples = [(0, pairs - 2), (1, 1), (quarter, 1)]
    weighted = [entry for offset, times in samples for entry in ((first + offset, times), (last - offset, times))]
    return sorted(weighted + [(first + pairs, 1)] * odd)


def _forward(module: Any, ids: Any, positions: Any, cache: Any) -> Any:
    """Look the tokens up and run the layers; without padding, causal attention needs no mask tensor."""
    return module(
        inputs_embeds=module.embed_tokens(ids),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        attention_mask={"full_attention": None},
    )


def _decode_at(geometry: Geometry, keys: int) -> Callable[[Any], object]:
    return lambda module: decode(module, geometry, keys)


def _head_call(geometry: Geometry, positions: int, times: int) -> ReferenceCall:
    def run(module: Any) -> object:
        import torch

        shape = (geometry.batch, positions, module.in_features)
        return module(torch.empty(shape, dtype=getattr(torch, geometry.dtype), device="meta"))

    return ReferenceCall(run=run, times=times)


def _pixels(view: View, dtype: str) -> Any:
    import torch

    return torch.empty(view.images, 3, view.size, view.size, dtype=getattr(torch, dtype), device="meta")


def _sampling(geometry: Geometry, steps: list[tuple[int, int]]) -> str:
    if len(steps) == geometry.decode_steps:
        return "every decode step is run"
    weights = ", ".join(f"{keys} x {times}" for keys, times in steps)
    return (
        f"of {geometry.decode_steps} decode steps those with these numbers of keys are run, each for so many: "
        f"{weights}; the sum is exact, since a step's cost is linear in its keys"
    )
