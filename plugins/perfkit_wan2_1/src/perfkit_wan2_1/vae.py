"""Cost tree of the Wan-VAE's chunked, causal decoding (``diffusers.AutoencoderKLWan.decode``).

The decoder is called once per latent frame and carries a feature cache from chunk to chunk. The first
chunk is one frame at every level and skips the time convolutions; each later chunk grows from one latent
frame to ``time_stride`` video frames. So every operation has at most two call shapes: ``first`` (once)
and ``later`` (``T - 1`` times). Convolutions read the input they are given, which the reference has
padded explicitly: two cached (or zero) frames before, one row and column on each side.
"""

from __future__ import annotations

from typing import NamedTuple

from perfkit_core import ops
from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, Tensor, sharing_weights
from perfkit_wan2_1.architecture import Vae
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.vae_encoder import encoder_parameters

_Shape = tuple[int, int]


class Volume(NamedTuple):
    """Activations at one level of the decoder.

    Attributes:
        batch: Videos.
        height: Rows.
        width: Columns.
        shapes: Frames per call and number of such calls, one pair per distinct chunk; largest last.
        dtype: Element type.
    """

    batch: int
    height: int
    width: int
    shapes: tuple[_Shape, ...]
    dtype: str

    @property
    def calls(self) -> int:
        """Calls of a module at this level in the whole run."""
        return sum(calls for _, calls in self.shapes)


def vae_decode(config: Vae, geometry: Geometry) -> Node:
    """Build the tree of stage ``vae_decode`` with its one child ``vae``."""
    batch, frames, dtype = geometry.batch, geometry.latent_frames, geometry.vae_dtype
    latent = Volume(batch, geometry.latent_height, geometry.latent_width, ((frames, 1),), dtype)
    shapes = ((1, 1), (1, frames - 1)) if frames != 1 else ((1, 1),)
    chunks = latent._replace(shapes=shapes)
    stride = config.space_stride
    pixels = geometry.latent_height * stride * geometry.latent_width * stride
    video = Tensor(batch * config.out_channels * geometry.decoded_frames * pixels, dtype)
    parameters = [
        (name, Node("conv", "convolution", 0, parameters=[Parameter(count, dtype)]))
        for name, count in encoder_parameters(config)
    ]
    vae = Node(
        "autoencoder",
        "activation",
        1,
        ops=[ops.elementwise("clamp", video, video)],
        children=[
            ("post_quant_conv", _causal_conv(latent, config.z_dim, config.z_dim, (1, 1, 1))),
            ("decoder", _decoder(config, chunks)),
            *parameters,
        ],
    )
    return Node("stage", "container", 1, children=[("vae", vae)])


def _decoder(config: Vae, volume: Volume) -> Node:
    widths = [config.decoder_base_dim * multiplier for multiplier in reversed(config.dim_mult)]
    upsample_time = tuple(reversed(config.temperal_downsample))
    children = [
        ("conv_in", _causal_conv(volume, config.z_dim, widths[0], (3, 3, 3))),
        ("mid_block", _mid_block(volume, widths[0])),
    ]
    channels, calls = widths[0], volume.calls
    for level, width in enumerate(widths):
        upsample = upsample_time[level] if level < len(widths) - 1 else None
        block, volume = _up_block(volume, channels, width, config.num_res_blocks + 1, upsample)
        children.append((f"up_blocks.{level}", block))
        channels = width // 2
    children += [
        ("norm_out", _norm(volume, widths[-1])),
        ("nonlinearity", _silu(volume, (widths[-1],))),
        ("conv_out", _causal_conv(volume, widths[-1], config.out_channels, (3, 3, 3))),
    ]
    return Node("decoder", "container", calls, children=children)


def _mid_block(volume: Volume, channels: int) -> Node:
    resnet = _resnet(volume, channels, channels)
    children = [("resnets.0", resnet), ("attentions.0", _frame_attention(volume, channels)), ("resnets.1", resnet)]
    return Node("block", "container", volume.calls, children=children)


def _up_block(
    volume: Volume, in_channels: int, channels: int, blocks: int, upsample_time: bool | None
) -> tuple[Node, Volume]:
    """Residual blocks, then (unless ``upsample_time`` is None) doubling in space and perhaps in time."""
    children = [("resnets.0", _resnet(volume, in_channels, channels))]
    if blocks > 1:
        further = _resnet(volume, channels, channels)
        children += [(f"resnets.{i}", further) for i in range(1, blocks)]
    calls = volume.calls
    if upsample_time is not None:
        upsampler, volume = _upsampler(volume, channels, in_time=upsample_time)
        children.append(("upsamplers.0", upsampler))
    return Node("block", "container", calls, children=children), volume


def _upsampler(volume: Volume, channels: int, *, in_time: bool) -> tuple[Node, Volume]:
    children: list[tuple[str, Node]] = []
    calls = volume.calls
    if in_time:
        first, *later = volume.shapes
        children.append(("time_conv", _time_conv(volume, channels, tuple(later))))
        volume = volume._replace(shapes=(first, *((2 * frames, times) for frames, times in later)))
    fine = volume._replace(height=2 * volume.height, width=2 * volume.width)
    doubled = [
        ops.resample(
            volume.batch * channels * frames * volume.height * volume.width,
            fine.batch * channels * frames * fine.height * fine.width,
            "float32",  # the reference interpolates in float32 whatever the model's type
            calls=times,
        )
        for frames, times in volume.shapes
    ]
    resize = Node("resample", "resampling", calls, ops=doubled, shapes=len(doubled))
    resample = [("0", resize), ("1", _frame_conv(fine, channels, channels // 2, 3))]
    children.append(("resample", Node("container", "container", calls, children=resample)))
    return Node("block", "container", calls, children=children), fine


def _time_conv(volume: Volume, channels: int, later: tuple[_Shape, ...]) -> Node:
    """The convolution that doubles the frames; the first chunk never reaches it."""
    if later:
        return _causal_conv(volume._replace(shapes=later), channels, 2 * channels, (3, 1, 1))
    weights = 3 * channels * 2 * channels + 2 * channels
    return Node("conv", "convolution", 0, parameters=[Parameter(weights, volume.dtype)])


def _resnet(volume: Volume, in_channels: int, channels: int) -> Node:
    calls = volume.calls
    if in_channels == channels:
        shortcut = Node("identity", "container", calls)
    else:
        shortcut = _causal_conv(volume, in_channels, channels, (1, 1, 1))
    return Node(
        "block",
        "residual",
        calls,
        ops=_residual(volume, channels),
        shapes=len(volume.shapes),
        children=[
            ("conv_shortcut", shortcut),
            ("norm1", _norm(volume, in_channels)),
            ("nonlinearity", _silu(volume, (in_channels, channels))),
            ("conv1", _causal_conv(volume, in_channels, channels, (3, 3, 3))),
            ("norm2", _norm(volume, channels)),
            ("dropout", Node("dropout", "container", calls)),
            ("conv2", _causal_conv(volume, channels, channels, (3, 3, 3))),
        ],
    )


def _frame_attention(volume: Volume, channels: int) -> Node:
    """Single-head attention within each frame."""
    pixels = volume.height * volume.width
    core = [
        ops.attention(volume.batch * frames, 1, pixels, pixels, channels, volume.dtype, calls=times)
        for frames, times in volume.shapes
    ]
    return Node(
        "attention",
        "vae attention core",
        volume.calls,
        ops=[*core, *ops.of_category("residual", _residual(volume, channels))],
        shapes=len(volume.shapes),
        children=[
            ("norm", _norm(volume, channels)),
            ("to_qkv", _frame_conv(volume, channels, 3 * channels, 1)),
            ("proj", _frame_conv(volume, channels, channels, 1)),
        ],
    )


def _causal_conv(volume: Volume, in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> Node:
    """3-D convolution over an input that was padded in time before, and in space around."""
    grown = [
        ops.conv(
            volume.batch,
            in_channels,
            out_channels,
            kernel,
            (frames + kernel[0] - 1, volume.height + kernel[1] - 1, volume.width + kernel[2] - 1),
            (frames, volume.height, volume.width),
            volume.dtype,
            calls=times,
        )
        for frames, times in volume.shapes
    ]
    return _conv_node(volume, grown)


def _frame_conv(volume: Volume, in_channels: int, out_channels: int, kernel: int) -> Node:
    """2-D convolution over every frame; it pads inside the operation."""
    size = (volume.height, volume.width)
    grown = [
        ops.conv(
            volume.batch * frames, in_channels, out_channels, (kernel, kernel), size, size, volume.dtype, calls=times
        )
        for frames, times in volume.shapes
    ]
    return _conv_node(volume, grown)


def _conv_node(volume: Volume, shapes: list[Op]) -> Node:
    first, *further = shapes
    own = [first, *(sharing_weights(op) for op in further)]
    return Node("conv", "convolution", volume.calls, ops=own, shapes=len(own))


def _norm(volume: Volume, channels: int) -> Node:
    first, *further = (
        ops.rms_norm(volume.batch * frames * volume.height * volume.width, channels, volume.dtype, calls=times)
        for frames, times in volume.shapes
    )
    own = [first, *(sharing_weights(op) for op in further)]
    return Node("norm", "norm", volume.calls, ops=own, shapes=len(own))


def _silu(volume: Volume, widths: tuple[int, ...]) -> Node:
    """One activation module, called once per entry of ``widths`` in each call of its block."""
    own = [
        ops.elementwise("silu", operand, operand, calls=times)
        for channels in widths
        for operand, times in _operands(volume, channels)
    ]
    return Node("activation", "activation", len(widths) * volume.calls, ops=own, shapes=len(volume.shapes))


def _residual(volume: Volume, channels: int) -> list[Op]:
    return [
        ops.elementwise("add", operand, operand, operand, calls=times) for operand, times in _operands(volume, channels)
    ]


def _operands(volume: Volume, channels: int) -> list[tuple[Tensor, int]]:
    pixels = volume.batch * channels * volume.height * volume.width
    return [(Tensor(pixels * frames, volume.dtype), times) for frames, times in volume.shapes]
