"""Peak device memory of the pipeline: weights, and the tensors alive at the worst moment of each stage.

The moments follow the reference implementation run eagerly without gradients: a tensor is alive while
any frame of the call stack still names it. Attention and RMS norm are taken as fused kernels. A 3-D
convolution also holds a channels-last copy of its input and of its output while it runs, as cuDNN does
(measured on an H200: docs/results), and the matrix-product libraries keep their workspace. Allocator fragmentation is
not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perfkit_core.costtree import LIBRARY_WORKSPACE, MemoryEstimate, Node
from perfkit_core.ops import DTYPE_BYTES
from perfkit_wan2_1.architecture import Architecture, TextEncoder, Transformer, Vae
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.text_encoder import kept_in_float32

FP32 = 4
INT64 = 8
BUCKET_BYTES = 53
"""Live bytes per query-key pair while positions become buckets: 6 int64, 1 float32 and 1 boolean array."""

CACHED_FRAMES = 2
"""Frames each causal convolution keeps for the next chunk."""


def memory_estimate(
    architecture: Architecture, geometry: Geometry, stages: Mapping[str, Node], offload: str
) -> MemoryEstimate:
    """Return resident weights and the activation peak of every stage.

    Args:
        stages: The stages' nodes by name, for their weights.
        offload: ``none``: all networks stay resident; ``stage``: only the one in use.
    """
    activations = {
        "text_encoder": LIBRARY_WORKSPACE + text_encoder_peak(architecture.text_encoder, geometry),
        "denoise": LIBRARY_WORKSPACE + denoise_peak(architecture.transformer, geometry),
        "vae_decode": LIBRARY_WORKSPACE + vae_decode_peak(architecture.vae, geometry),
    }
    weights = {name: node.inclusive.weight_bytes for name, node in stages.items()}
    resident = dict.fromkeys(weights, sum(weights.values())) if offload == "none" else weights
    worst = max(activations, key=lambda name: resident[name] + activations[name])
    return MemoryEstimate(
        weight_bytes=resident[worst],
        kv_cache_bytes=0,
        activation_bytes=activations,
        peak_bytes=resident[worst] + activations[worst],
        resident_bytes=resident,
    )


def text_encoder_peak(config: TextEncoder, geometry: Geometry) -> int:
    """Peak of live bytes in one call of the text encoder."""
    size, rows = DTYPE_BYTES[geometry.dtype], geometry.batch * geometry.text_len
    # Where wo stays in float32, so do the hidden states after the first block, and its input is cast.
    widened = FP32 // size if kept_in_float32(geometry.dtype) else 1
    pairs = geometry.text_len * geometry.text_len
    model, inner, wide = rows * config.d_model * size, rows * config.num_heads * config.d_kv * size, rows * config.d_ff
    # Token embeddings, the hidden states and the normed input live on; q, k, v and the output, and the
    # position bias twice (looked up, then made contiguous).
    attention = (2 + widened) * model + 4 * inner + 2 * config.num_heads * pairs * size
    buckets = (2 + widened) * model + 3 * inner + pairs * BUCKET_BYTES
    # Also the hidden states between the two halves of the block; then what the activation holds.
    pointwise = max(4 if config.dense_act_fn == "gelu_new" else 3, 3 + widened if widened > 1 else 0)
    feed_forward = (2 + 2 * widened) * model + pointwise * wide * size
    return max(attention, buckets, feed_forward) + rows * INT64


def denoise_peak(config: Transformer, geometry: Geometry) -> int:
    """Peak of live bytes in one transformer call, other prompts' embeddings included."""
    size, batch, width = DTYPE_BYTES[geometry.dtype], geometry.batch, config.width
    cast = 0 if size == FP32 else FP32  # .float() of a float32 tensor is the tensor itself
    hidden, text = batch * geometry.tokens * width, batch * geometry.text_len * width
    wide = batch * geometry.tokens * config.ffn_dim
    # Alive in every block after attention: the caller's input, the hidden states, the normed input, and
    # the attention output.
    held = 4 * hidden * size
    moments = (
        5 * hidden * size + hidden * (2 * cast + FP32 + (0 if cast else FP32)),  # gated residual of the feed-forward
        held + 2 * wide * size,  # activation of the feed-forward
        6 * hidden * size + 3 * hidden * FP32 // 2,  # rotation: two products and their sum, one half each
        held + 2 * hidden * size + 3 * text * size,  # cross-attention
    )
    latents = batch * config.in_channels * geometry.latent_frames * geometry.latent_height * geometry.latent_width
    embeddings = batch * geometry.text_len * config.text_dim * size
    rotary = 2 * (geometry.tokens + config.rope_max_seq_len) * config.attention_head_dim * FP32
    modulation = batch * width * (7 * size + 6 * FP32)
    other_prompts = (geometry.passes - 1) * (embeddings + latents * size)
    return max(moments) + text * size + embeddings + latents * size + rotary + modulation + other_prompts


def vae_decode_peak(config: Vae, geometry: Geometry) -> int:
    """Peak of live bytes while the last latent frame is decoded."""
    size = DTYPE_BYTES[geometry.vae_dtype]
    chunked = geometry.latent_frames > 1
    cached = CACHED_FRAMES if chunked else 1
    levels = list(_levels(config, geometry))
    caches = cached * sum(plane * channels for plane, channels in _cached_planes(config, levels))
    if not chunked:  # the only chunk: caches fill up on the way, the last two come after the peak
        caches -= levels[-1].plane * levels[-1].channels * 2
    peak = max(level.working_elements(cached, size) for level in levels)
    pixels = geometry.batch * levels[-1].plane * config.out_channels
    last_chunk = config.time_stride if chunked else 0
    output = (geometry.decoded_frames - last_chunk) * pixels if chunked else 0
    latents = geometry.latent_height * geometry.latent_width * config.z_dim * geometry.latent_frames
    return size * (geometry.batch * (caches + peak + 2 * latents) + output)


class _Level:
    """One decoder level: ``plane`` pixels per frame, ``frames`` per steady chunk, channels in and out.

    ``resized_frames`` is the number of frames when the level is doubled in space; 0 for the last level.
    """

    def __init__(
        self, batch: int, height: int, width: int, frames: int, resized_frames: int, in_channels: int, channels: int
    ) -> None:
        self.batch, self.height, self.width = batch, height, width
        self.frames, self.resized_frames = frames, resized_frames
        self.in_channels, self.channels = in_channels, channels

    @property
    def plane(self) -> int:
        """Pixels of one frame."""
        return self.height * self.width

    def working_elements(self, cached: int, size: int) -> int:
        """Elements alive inside a residual block: its input held twice above it, and the worst operation."""
        frame = self.channels * self.plane
        padded = (self.frames + 2) * self.channels * (self.height + 2) * (self.width + 2)
        joined = (self.frames + 2) * frame if cached == CACHED_FRAMES else 0
        held = 3 * self.frames * frame
        padding = held + cached * frame + joined + padded
        convolution = held + cached * frame + 2 * (padded + self.frames * frame)
        widened = 2 * self.frames * frame * FP32 // size if size < FP32 else 0
        return max(padding, convolution, held + widened, self._resizing_elements(size))

    def _resizing_elements(self, size: int) -> int:
        """Elements alive while a level is doubled in height and width; low precision passes through float32."""
        if not self.resized_frames:
            return 0
        frames = self.resized_frames * self.channels * self.plane
        fine = 4 * frames
        held = 3 * frames if self.batch > 1 else 2 * frames  # folding frames into the batch copies only then
        return held + fine + (fine * FP32 // size if size < FP32 else 0)


def _levels(config: Vae, geometry: Geometry) -> Iterator[_Level]:
    widths = [config.decoder_base_dim * multiplier for multiplier in reversed(config.dim_mult)]
    doubles = [*reversed(config.temperal_downsample), False]
    height, width = geometry.latent_height, geometry.latent_width
    frames, channels = 1, widths[0]
    for index, (doubled, out_channels) in enumerate(zip(doubles, widths, strict=True)):
        after = 2 * frames if doubled and geometry.latent_frames > 1 else frames
        resized = after if index < len(widths) - 1 else 0
        yield _Level(geometry.batch, height, width, frames, resized, channels, out_channels)
        height, width, frames = 2 * height, 2 * width, after
        channels = out_channels // 2


def _cached_planes(config: Vae, levels: list[_Level]) -> Iterator[tuple[int, int]]:
    """Yield pixels and channels of every cached convolution input, in the decoder's order."""
    first, last = levels[0], levels[-1]
    yield first.plane, config.z_dim
    yield from [(first.plane, first.channels)] * 4  # two residual blocks around the attention
    doubles = [*reversed(config.temperal_downsample), False]
    for level, doubled in zip(levels, doubles, strict=True):
        yield level.plane, level.in_channels
        yield from [(level.plane, level.channels)] * (2 * config.num_res_blocks + 1)
        if doubled:
            yield level.plane, level.channels
    yield last.plane, last.channels
