"""The calls that one generation makes of the real modules, for ``perfkit verify``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.specs import ModelRequest
from perfkit_wan2_1.estimate import architecture_of, geometry_of, model_options
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.modules import build_modules
from perfkit_wan2_1.options import WanWorkload

DISTINCT_CHUNKS = 3
"""Latent frames to decode: the first, the second (caches half filled) and a steady one."""


def references(request: ModelRequest, workload: WanWorkload) -> Iterator[Reference]:
    """Yield text encoder, transformer and VAE with every distinct call shape and its multiplicity."""
    architecture = architecture_of(request)
    geometry = geometry_of(architecture, model_options(request), workload)
    modules = build_modules(request)
    yield Reference(
        path="text_encoder",
        module=modules["text_encoder"],
        calls=[ReferenceCall(run=lambda module: _encode(module, geometry), times=geometry.passes)],
    )
    channels, text_dim = architecture.transformer.in_channels, architecture.transformer.text_dim
    yield Reference(
        path="denoise/step/transformer",
        module=modules["transformer"],
        calls=[
            ReferenceCall(
                run=lambda module: _denoise(module, geometry, channels, text_dim),
                times=geometry.steps * geometry.passes,
            )
        ],
    )
    yield Reference(
        path="vae_decode/vae",
        module=modules["vae"],
        calls=_decode_calls(geometry, architecture.vae.z_dim),
        note="the first two latent frames and one later frame are decoded, the latter counted once per remaining frame",
    )


def _encode(module: Any, geometry: Geometry) -> object:
    import torch

    ids = torch.empty(geometry.batch, geometry.text_len, dtype=torch.long, device="meta")
    return module(input_ids=ids)


def _denoise(module: Any, geometry: Geometry, channels: int, text_dim: int) -> object:
    import torch

    dtype = getattr(torch, geometry.dtype)
    latents = (geometry.batch, channels, geometry.latent_frames, geometry.latent_height, geometry.latent_width)
    return module(
        hidden_states=torch.empty(latents, dtype=dtype, device="meta"),
        timestep=torch.empty(geometry.batch, dtype=torch.long, device="meta"),
        encoder_hidden_states=torch.empty(geometry.batch, geometry.text_len, text_dim, dtype=dtype, device="meta"),
    )


def _decode_calls(geometry: Geometry, channels: int) -> list[ReferenceCall]:
    """What ``AutoencoderKLWan.decode`` does, cut into its distinct calls.

    The decoder's feature cache lives in the module, so the calls must be made in this order.
    """
    import torch

    size = (geometry.batch, channels, geometry.latent_frames, geometry.latent_height, geometry.latent_width)
    latents = torch.empty(size, dtype=getattr(torch, geometry.vae_dtype), device="meta")

    def prepare(vae: Any) -> None:
        vae.clear_cache()
        vae.post_quant_conv(latents)

    def decode(index: int) -> Any:
        def run(vae: Any) -> None:
            vae._conv_idx = [0]
            frame = latents[:, :, index : index + 1]
            vae.decoder(frame, feat_cache=vae._feat_map, feat_idx=vae._conv_idx, first_chunk=index == 0)

        return run

    def finish(vae: Any) -> None:
        stride = vae.config.scale_factor_spatial
        rows, columns = geometry.latent_height * stride, geometry.latent_width * stride
        shape = (geometry.batch, vae.config.out_channels, geometry.decoded_frames, rows, columns)
        torch.clamp(torch.empty(shape, dtype=latents.dtype, device="meta"), min=-1.0, max=1.0)

    distinct = min(DISTINCT_CHUNKS, geometry.latent_frames)
    chunks = [ReferenceCall(run=decode(index)) for index in range(distinct - 1)]
    steady = ReferenceCall(run=decode(distinct - 1), times=geometry.latent_frames - distinct + 1)
    return [ReferenceCall(run=prepare), *chunks, steady, ReferenceCall(run=finish)]
