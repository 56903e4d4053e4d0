"""Parameters of the Wan-VAE's encoder half: loaded with the decoder, never called when generating video."""

from __future__ import annotations

from collections.abc import Iterator

from perfkit_wan2_1.architecture import Vae


def encoder_parameters(config: Vae) -> Iterator[tuple[str, int]]:
    """Yield every parameter-holding module of the encoder half with its number of parameters."""
    widths = [config.base_dim * multiplier for multiplier in config.dim_mult]
    yield "encoder.conv_in", _conv(config.in_channels, widths[0], 27)
    index, channels = 0, widths[0]
    for level, width in enumerate(widths):
        for _ in range(config.num_res_blocks):
            yield from _resnet(f"encoder.down_blocks.{index}", channels, width)
            index, channels = index + 1, width
        if level < len(widths) - 1:
            yield f"encoder.down_blocks.{index}.resample.1", _conv(width, width, 9)
            if config.temperal_downsample[level]:
                yield f"encoder.down_blocks.{index}.time_conv", _conv(width, width, 3)
            index += 1
    yield from _resnet("encoder.mid_block.resnets.0", channels, channels)
    yield "encoder.mid_block.attentions.0.norm", channels
    yield "encoder.mid_block.attentions.0.to_qkv", _conv(channels, 3 * channels, 1)
    yield "encoder.mid_block.attentions.0.proj", _conv(channels, channels, 1)
    yield from _resnet("encoder.mid_block.resnets.1", channels, channels)
    yield "encoder.norm_out", channels
    yield "encoder.conv_out", _conv(channels, 2 * config.z_dim, 27)
    yield "quant_conv", _conv(2 * config.z_dim, 2 * config.z_dim, 1)


def _resnet(name: str, in_channels: int, channels: int) -> Iterator[tuple[str, int]]:
    yield f"{name}.norm1", in_channels
    yield f"{name}.conv1", _conv(in_channels, channels, 27)
    yield f"{name}.norm2", channels
    yield f"{name}.conv2", _conv(channels, channels, 27)
    if in_channels != channels:
        yield f"{name}.conv_shortcut", _conv(in_channels, channels, 1)


def _conv(in_channels: int, out_channels: int, taps: int) -> int:
    return in_channels * out_channels * taps + out_channels
