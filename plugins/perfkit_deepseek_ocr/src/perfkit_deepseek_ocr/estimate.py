"""The analytic model of reading pages with DeepSeek-OCR: workload in, cost tree out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from perfkit_core import ops
from perfkit_core.costtree import CostTree, Node, Parameter
from perfkit_core.errors import UsageError
from perfkit_core.specs import ModelRequest
from perfkit_deepseek_ocr.architecture import Architecture
from perfkit_deepseek_ocr.clip import clip
from perfkit_deepseek_ocr.decoder import decode_forward, language_model, output_head, prefill_forward
from perfkit_deepseek_ocr.geometry import Geometry, Grid, parse_grid
from perfkit_deepseek_ocr.memory import memory_estimate
from perfkit_deepseek_ocr.metadata import read_architecture
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.sam import sam
from perfkit_deepseek_ocr.views import Views

NOT_MODELLED = (
    "reading, resizing and normalising the image, tokenising the prompt and turning tokens into text",
    "placing image features and separators among the token embeddings, and choosing each token from its logits",
    "copies that an ideal kernel fuses away: casts, padding, concatenation, gathering, growing the cache",
    "softmax, top-k and the weighted sum of the router and its experts",
    "workspace of library kernels and fragmentation of the allocator (peak memory)",
)


def estimate(request: ModelRequest, workload: OcrWorkload) -> CostTree:
    """Return the costs of reading all pages.

    Raises:
        MissingError: A checkpoint file or field is missing.
        DamagedFileError: A checkpoint file cannot be parsed.
    """
    architecture = architecture_of(request)
    geometry = geometry_of(model_options(request), workload)
    stages = (("prefill", _prefill(architecture, geometry)), ("decode", _decode(architecture, geometry)))
    return CostTree(
        stages=stages,
        memory=memory_estimate(architecture, geometry, sum(node.inclusive.weight_bytes for _, node in stages)),
        geometry={
            "pages": geometry.batch * geometry.batches,
            "tiles": geometry.tiles[0] * geometry.tiles[1] if geometry.tiles else 0,
            "vision_tokens": geometry.vision_tokens,
            "image_tokens": geometry.image_tokens,
            "prompt_tokens": geometry.prompt,
            "decode_steps": geometry.decode_steps,
            "last_context": geometry.last_context,
        },
        notes=_notes(architecture, geometry, workload),
        not_modelled=(*NOT_MODELLED, _unused(architecture)),
        architecture=architecture.source,
    )


def _prefill(architecture: Architecture, geometry: Geometry) -> Node:
    forward = prefill_forward(geometry)
    positions = geometry.prompt if geometry.all_positions else 1
    return Node(
        "stage",
        "container",
        geometry.batches,
        children=[
            ("vision", vision(architecture, geometry)),
            ("language_model", language_model(architecture.decoder, forward)),
            ("lm_head", output_head(architecture.decoder, forward, positions)),
        ],
    )


def _decode(architecture: Architecture, geometry: Geometry) -> Node:
    forward = decode_forward(geometry)
    return Node(
        "stage",
        "container",
        forward.calls,
        children=[
            ("language_model", language_model(architecture.decoder, forward)),
            ("lm_head", output_head(architecture.decoder, forward, 1)),
        ],
    )


def vision(architecture: Architecture, geometry: Geometry) -> Node:
    """Build the tree below ``prefill/vision``; it holds the two learned separators itself."""
    views, width = Views.of(geometry), architecture.decoder.width
    projector = views.node(
        "linear",
        "projector",
        lambda view: [
            ops.linear(view.features, architecture.feature_width, width, geometry.dtype, calls=geometry.batches)
        ],
    )
    return Node(
        "vision",
        "container",
        geometry.batches,
        parameters=[Parameter(2 * width, geometry.dtype)],
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


def geometry_of(options: OcrModelOptions, workload: OcrWorkload) -> Geometry:
    """Derive views, tokens and calls; pages are rounded up to full batches.

    Raises:
        MissingError: An image cannot be read.
        UsageError: The images do not fill batches, or are not cut alike.
    """
    pages, tiles = _of_images(workload) if workload.images else (workload.pages, parse_grid(workload.grid))
    return Geometry(
        batch=workload.batch_size,
        batches=-(-pages // workload.batch_size),
        mode=workload.mode,
        tiles=tiles if workload.mode == "gundam" else None,
        text_tokens=workload.prompt_tokens,
        new_tokens=workload.max_new_tokens,
        all_positions=options.head_positions == "all",
        dtype=options.dtype,
    )


def _of_images(workload: OcrWorkload) -> tuple[int, Grid | None]:
    """Return how many images there are and how they are cut."""
    from perfkit_deepseek_ocr.images import common_grid, find_images

    images = find_images(workload.images)
    if len(images) % workload.batch_size:
        raise UsageError(
            f"{len(images)} images do not fill batches of {workload.batch_size}",
            fix="choose a batch_size that divides their number",
        )
    return len(images), common_grid(images) if workload.mode == "gundam" else None


def _notes(architecture: Architecture, geometry: Geometry, workload: OcrWorkload) -> list[str]:
    pages = geometry.batch * geometry.batches
    notes = []
    if workload.images:
        notes.append(f"the number of pages and how they are cut are those of {workload.images}")
    elif pages != workload.pages:
        notes.append(f"pages={workload.pages} do not fill batches of {geometry.batch}: {pages} pages are read")
    notes += [
        f"prefill gives the first token: {geometry.decode_steps} decode steps a page make the other tokens",
        "vision is part of prefill",
        f"prefill runs the output head on {'every position' if geometry.all_positions else 'the last position'}",
        "decode runs the modules of prefill: their parameters and weight bytes are counted there alone",
        f"decode attention is the exact sum over contexts of {geometry.first_context} to {geometry.last_context} keys, "
        "listed at their mean (its cost is linear in the number of keys)"
        if geometry.decode_steps
        else "one new token: nothing is decoded",
        "bytes of routed experts: every expert that a pass can reach is read once",
    ]
    longest = architecture.decoder.max_positions
    if geometry.prompt + geometry.new_tokens > longest:
        notes.append(
            f"{geometry.prompt + geometry.new_tokens} tokens exceed the {longest} positions the model was made for"
        )
    return notes


def _unused(architecture: Architecture) -> str:
    count = architecture.unused_parameters
    return f"CLIP's own patch embedding: {count} parameters that official checkpoints hold and that never run"
