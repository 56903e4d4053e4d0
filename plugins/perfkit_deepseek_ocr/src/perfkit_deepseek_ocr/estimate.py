"""The analytic model of reading pages with DeepSeek-OCR: workload in, cost tree out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from perfkit_core import ops
from perfkit_core.costtree import CostTree, Node, Parameter
from perfkit_core.specs import ModelRequest
from perfkit_deepseek_ocr.architecture import Architecture
from perfkit_deepseek_ocr.batches import geometries_of, tiles_name
from perfkit_deepseek_ocr.clip import clip
from perfkit_deepseek_ocr.decoder import decode_forwards, language_model, output_head, prefill_forwards
from perfkit_deepseek_ocr.geometry import Geometry
from perfkit_deepseek_ocr.memory import memory_estimate
from perfkit_deepseek_ocr.metadata import read_architecture
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.sam import sam
from perfkit_deepseek_ocr.shapes import views_of

NOT_MODELLED = (
    "reading, resizing and normalising the image, tokenising the prompt and turning tokens into text",
    "placing image features and separators among the token embeddings, and choosing each token from its logits",
    "copies that an ideal kernel fuses away: casts, padding, concatenation, gathering, growing the cache",
    "softmax, top-k and the weighted sum of the router and its experts",
    "what torch.compile holds: a cache of fixed length beside the growing one, and the memory of CUDA graphs",
    "fragmentation of the allocator, and library workspace other than the 48 MiB that a GPU holds (peak memory)",
)


def estimate(request: ModelRequest, workload: OcrWorkload) -> CostTree:
    """Return the costs of reading all pages.

    Raises:
        MissingError: A checkpoint file or field is missing, or an image cannot be read.
        DamagedFileError: A checkpoint file cannot be parsed.
        UsageError: The images do not go together.
    """
    architecture = architecture_of(request)
    geometries = geometries_of(model_options(request), workload)
    stages = (("prefill", _prefill(architecture, geometries)), ("decode", _decode(architecture, geometries)))
    return CostTree(
        stages=stages,
        memory=memory_estimate(architecture, geometries, sum(node.inclusive.weight_bytes for _, node in stages)),
        geometry=_sizes(geometries),
        notes=_notes(architecture, geometries, workload),
        not_modelled=(*NOT_MODELLED, _unused(architecture)),
        architecture=architecture.source,
    )


def _sizes(geometries: Sequence[Geometry]) -> dict[str, int]:
    """Return the derived sizes; those of one page where pages are cut alike, their sums where they are not."""
    pages, last = sum(geometry.pages for geometry in geometries), geometries[-1]
    of_pages = {"tiles": 0, "vision_tokens": 0, "image_tokens": 0, "prompt_tokens": 0}
    for geometry in geometries:
        values = (geometry.tile_count, geometry.vision_tokens, geometry.image_tokens, geometry.prompt)
        for name, value in zip(of_pages, values, strict=True):
            of_pages[name] += value if len(geometries) == 1 else value * geometry.pages
    suffix = "" if len(geometries) == 1 else "_of_all_pages"
    return {
        "pages": pages,
        **{name + suffix: value for name, value in of_pages.items()},
        "decode_steps": last.decode_steps,
        "last_context": last.last_context,
    }


def _prefill(architecture: Architecture, geometries: Sequence[Geometry]) -> Node:
    forwards = prefill_forwards(geometries)
    return Node(
        "stage",
        "container",
        forwards.total,
        children=[
            ("vision", vision(architecture, geometries)),
            ("language_model", language_model(architecture.decoder, forwards)),
            ("lm_head", output_head(architecture.decoder, forwards)),
        ],
    )


def _decode(architecture: Architecture, geometries: Sequence[Geometry]) -> Node:
    forwards = decode_forwards(geometries)
    return Node(
        "stage",
        "container",
        forwards.total,
        children=[
            ("language_model", language_model(architecture.decoder, forwards)),
            ("lm_head", output_head(architecture.decoder, forwards)),
        ],
    )


def vision(architecture: Architecture, geometries: Sequence[Geometry]) -> Node:
    """Build the tree below ``prefill/vision``; it holds the two learned separators itself."""
    views, width = views_of(geometries), architecture.decoder.width
    projector = views.node(
        "linear",
        "projector",
        lambda view: [ops.linear(view.features, architecture.feature_width, width, views.dtype)],
    )
    return Node(
        "vision",
        "container",
        sum(geometry.batches for geometry in geometries),
        parameters=[Parameter(2 * width, views.dtype)],
        children=[
            ("sam", sam(architecture.sam, views)),
            ("clip", clip(architecture.clip, views)),
            ("projector", projector),
        ],
    )


def architecture_of(request: ModelRequest) -> Architecture:
    """Return the architecture a request names; a bundled one is read once per process."""
    if request.checkpoint is not None:
        return read_architecture(request.variant, Path(request.checkpoint))
    return _bundled(request.variant)


@lru_cache
def _bundled(variant: str) -> Architecture:
    return read_architecture(variant, None)


def model_options(request: ModelRequest) -> OcrModelOptions:
    """Return the request's options with their real type."""
    if not isinstance(request.options, OcrModelOptions):
        raise TypeError(f"expected OcrModelOptions, got {type(request.options).__name__}")
    return request.options


def _notes(architecture: Architecture, geometries: Sequence[Geometry], workload: OcrWorkload) -> list[str]:
    shortest, last = geometries[0], geometries[-1]
    pages = sum(geometry.pages for geometry in geometries)
    notes = []
    if workload.images:
        notes.append(f"the number of pages and how they are cut are those of {workload.images}")
    elif pages != workload.pages:
        notes.append(f"pages={workload.pages} do not fill batches of {last.batch}: {pages} pages are read")
    if len(geometries) > 1:
        kinds = [f"{one.pages} into {tiles_name(one.tiles)} ({one.prompt} prompt tokens)" for one in geometries]
        notes.append(f"pages are cut as their shape wants: {', '.join(kinds)}; costs are sums over all pages")
    notes += [
        f"prefill gives the first token: {last.decode_steps} decode steps a page make the other tokens",
        "vision is part of prefill",
        f"prefill runs the output head on {'every position' if last.all_positions else 'the last position'}",
        "decode runs the modules of prefill: their parameters and weight bytes are counted there alone",
        f"decode attention is the exact sum over contexts of {shortest.first_context} to {last.last_context} keys, "
        "listed at their mean (its cost is linear in the number of keys)"
        if last.decode_steps
        else "one new token: nothing is decoded",
        "bytes of routed experts: every expert that a pass can reach is read once",
    ]
    longest, needed = architecture.decoder.max_positions, last.prompt + last.new_tokens
    if needed > longest:
        notes.append(f"{needed} tokens exceed the {longest} positions the model was made for")
    return notes


def _unused(architecture: Architecture) -> str:
    count = architecture.unused_parameters
    return f"CLIP's own patch embedding: {count} parameters that official checkpoints hold and that never run"
