"""Peak device memory of reading pages: weights, cache, and the tensors alive at the worst moment of each stage.

The moments follow the reference implementation run eagerly without gradients: a tensor is alive while any
frame of the call stack still names it. Attention is taken as a fused kernel, routed experts as grouped matrix
products, and the pixels of all pages stay on the device throughout. The libraries
keep a workspace of their own; fragmentation of the allocator is not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perfkit_core.costtree import LIBRARY_WORKSPACE, MemoryEstimate
from perfkit_core.ops import DTYPE_BYTES
from perfkit_deepseek_ocr.architecture import Architecture, Decoder, Sam
from perfkit_deepseek_ocr.geometry import Geometry, View

FP32 = 4
INT64 = 8
CHANNELS = 3


class StagePeak(NamedTuple):
    """The worst moment of a stage, in bytes.

    Attributes:
        activation_bytes: Live tensors besides weights and cache.
        cache_bytes: Keys and values cached by then.
    """

    activation_bytes: int
    cache_bytes: int

    @property
    def total(self) -> int:
        """Everything but the weights."""
        return self.activation_bytes + self.cache_bytes


def memory_estimate(architecture: Architecture, geometries: Sequence[Geometry], weight_bytes: int) -> MemoryEstimate:
    """Return resident weights, the cache at its longest and the activation peak of every stage.

    The pixels of all batches and the libraries' workspace stay on the device; everything else of a batch is
    gone when the next one begins.
    """
    pixels = sum(geometry.batches * _pixels(geometry) for geometry in geometries)
    stages = (
        {"prefill": prefill_peak, "decode": decode_peak} if geometries[-1].decode_steps else {"prefill": prefill_peak}
    )
    peaks = {}
    for stage, peak_of in stages.items():
        of_batches = [
            StagePeak(peak.activation_bytes + pixels - _pixels(geometry) + LIBRARY_WORKSPACE, peak.cache_bytes)
            for geometry in geometries
            for peak in [peak_of(architecture, geometry)]
        ]
        peaks[stage] = max(of_batches, key=lambda peak: peak.total)
    return MemoryEstimate(
        weight_bytes=weight_bytes,
        kv_cache_bytes=max(cache_bytes(architecture.decoder, one, one.last_context) for one in geometries),
        activation_bytes={stage: peak.activation_bytes for stage, peak in peaks.items()},
        peak_bytes=weight_bytes + max(peak.total for peak in peaks.values()),
        stage_bytes={stage: weight_bytes + peak.total for stage, peak in peaks.items()},
    )


def cache_bytes(config: Decoder, geometry: Geometry, tokens: int) -> int:
    """Return the bytes of keys and values of ``tokens`` tokens per sequence, all layers together."""
    return 2 * config.layers * geometry.batch * tokens * config.width * DTYPE_BYTES[geometry.dtype]


def prefill_peak(architecture: Architecture, geometry: Geometry) -> StagePeak:
    """Worst moment of prefill: in an image encoder, in the last layer of the language model, or at the head."""
    config, width = architecture.decoder, architecture.decoder.width
    size, rows = DTYPE_BYTES[geometry.dtype], geometry.batch * geometry.prompt
    inputs = _pixels(geometry) + rows * INT64
    # Every view leaves the joined features of the encoders and the projected ones.
    features = [view.features * (architecture.feature_width + width) * size for view in geometry.views]
    with_separators = geometry.batch * geometry.image_tokens * width * size
    cache = cache_bytes(config, geometry, geometry.prompt)
    encoders = [
        StagePeak(inputs + rows * width * size + sum(features[:index]) + _sam_peak(architecture.sam, view, size), 0)
        for index, view in enumerate(geometry.views)
    ]
    layer = inputs + sum(features) + with_separators + _last_layer_peak(config, geometry)
    logits = geometry.batch * (geometry.prompt if geometry.all_positions else 1) * config.vocabulary * size
    head = inputs + with_separators + rows * width * size + logits
    moments = [*encoders, StagePeak(layer, cache), StagePeak(head, cache)]
    return max(moments, key=lambda moment: moment.total)


def decode_peak(architecture: Architecture, geometry: Geometry) -> StagePeak:
    """Worst moment of the last step: one layer's cache grows by a copy, or the head's logits stand."""
    config, size = architecture.decoder, DTYPE_BYTES[geometry.dtype]
    copied = geometry.batch * (geometry.last_context - 1) * config.width * size
    logits = geometry.batch * (config.vocabulary + config.width) * size
    rows = geometry.batch * config.experts_per_token * config.width * (2 * FP32 + 2 * size)
    activations = _pixels(geometry) + max(copied, logits, rows)
    return StagePeak(activations, cache_bytes(config, geometry, geometry.last_context))


def _pixels(geometry: Geometry) -> int:
    return sum(CHANNELS * view.images * view.size**2 for view in geometry.views) * DTYPE_BYTES[geometry.dtype]


def _sam_peak(config: Sam, view: View, size: int) -> int:
    """Peak inside SAM's attention, where the bias of every score is built and then made contiguous."""
    hidden = view.patches * config.width
    windows = view.images * (-(-view.side // config.window_size)) ** 2
    kinds = {index in config.global_layers for index in range(config.layers)}
    elements = []
    for whole in kinds:
        squares, count = (view.images, view.side**2) if whole else (windows, config.window_size**2)
        attended = squares * count * config.width
        # The hidden states, the normed ones, queries, keys and values; several squares need those regrouped.
        projected = attended * (3 if squares == 1 else 6)
        elements.append(hidden + attended + projected + 2 * squares * config.heads * count**2)
    return max(elements) * size


def _last_layer_peak(config: Decoder, geometry: Geometry) -> int:
    """Live bytes of prefill in the last layer's feed-forward, cache left out."""
    size, rows = DTYPE_BYTES[geometry.dtype], geometry.batch * geometry.prompt
    # The embeddings with the image in place, hidden states before and after attention, and the normed ones.
    hidden = 4 * rows * config.width * size + 2 * geometry.prompt * config.head_width * size
    if config.dense_layers >= config.layers:
        return hidden + 3 * rows * config.dense_width * size
    pairs = rows * config.experts_per_token
    # Rows sorted by expert, their results, those weighted in float32 and put back in order; ids and weights.
    routed = pairs * (config.width * (2 * size + 2 * FP32) + 4 * INT64 + 2 * FP32)
    return hidden + routed + rows * config.experts * FP32
