"""The analytic model of the Wan2.1 pipeline: workload in, cost tree out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from perfkit_core.costtree import CostTree, Node
from perfkit_core.specs import ModelRequest
from perfkit_wan2_1.architecture import Architecture
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.memory import memory_estimate
from perfkit_wan2_1.metadata import read_architecture
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.text_encoder import text_encoder
from perfkit_wan2_1.transformer import transformer
from perfkit_wan2_1.vae import vae_decode

NOT_MODELLED = (
    "tokenising the prompt and writing the video file",
    "the scheduler's update and the guidance combination (element-wise on the latents)",
    "drawing the initial noise and rescaling the latents before decoding",
    "copies that an ideal kernel fuses away: casts, padding, concatenation, layout changes",
    "workspace of library kernels and fragmentation of the allocator (peak memory)",
)


def estimate(request: ModelRequest, workload: WanWorkload) -> CostTree:
    """Return the costs of one generation.

    Raises:
        MissingError: A checkpoint file or field is missing.
        DamagedFileError: A checkpoint file cannot be parsed.
    """
    architecture = architecture_of(request)
    options = model_options(request)
    geometry = geometry_of(architecture, options, workload)
    denoiser = transformer(architecture.transformer, geometry)
    step = Node("step", "container", geometry.steps, children=[("transformer", denoiser)])
    stages = (
        ("text_encoder", text_encoder(architecture.text_encoder, geometry)),
        ("denoise", Node("stage", "container", 1, children=[("step", step)])),
        ("vae_decode", vae_decode(architecture.vae, geometry)),
    )
    return CostTree(
        stages=stages,
        memory=memory_estimate(architecture, geometry, dict(stages), options.offload),
        geometry={
            "latent_frames": geometry.latent_frames,
            "latent_height": geometry.latent_height,
            "latent_width": geometry.latent_width,
            "tokens": geometry.tokens,
            "text_tokens": geometry.text_len,
            "transformer_calls": geometry.steps * geometry.passes,
            "decoded_frames": geometry.decoded_frames,
        },
        notes=_notes(architecture, geometry, workload),
        not_modelled=NOT_MODELLED,
        architecture=architecture.source,
    )


def architecture_of(request: ModelRequest) -> Architecture:
    """Return the architecture a request names; a bundled one is read once per process."""
    if request.checkpoint is not None:
        return read_architecture(request.variant, Path(request.checkpoint))
    return _bundled(request.variant)


@lru_cache
def _bundled(variant: str) -> Architecture:
    return read_architecture(variant, None)


def model_options(request: ModelRequest) -> WanModelOptions:
    """Return the request's options with their real type."""
    if not isinstance(request.options, WanModelOptions):
        raise TypeError(f"expected WanModelOptions, got {type(request.options).__name__}")
    return request.options


def geometry_of(architecture: Architecture, options: WanModelOptions, workload: WanWorkload) -> Geometry:
    """Derive the latent grid and the token count; frames are floored to ``stride*n + 1``."""
    vae, patch = architecture.vae, architecture.transformer.patch_size
    frames = (workload.num_frames - 1) // vae.time_stride + 1
    height, width = workload.height // vae.space_stride, workload.width // vae.space_stride
    grid = (frames // patch[0], height // patch[1], width // patch[2])
    return Geometry(
        batch=workload.batch_size,
        latent_frames=frames,
        latent_height=height,
        latent_width=width,
        grid=grid,
        tokens=grid[0] * grid[1] * grid[2],
        text_len=workload.text_len,
        steps=workload.num_inference_steps,
        passes=2 if workload.guidance else 1,
        decoded_frames=vae.time_stride * (frames - 1) + 1,
        dtype=options.dtype,
        vae_dtype=options.vae_dtype,
    )


def _notes(architecture: Architecture, geometry: Geometry, workload: WanWorkload) -> list[str]:
    stride = architecture.vae.time_stride
    notes = []
    if geometry.decoded_frames != workload.num_frames:
        notes.append(
            f"num_frames={workload.num_frames} is not {stride}n+1: the model generates {geometry.decoded_frames} frames"
        )
    if workload.guidance:
        notes.append("guided: two transformer calls per step, two text-encoder calls (prompt and negative prompt)")
    else:
        notes.append("unguided: one transformer call per step, one text-encoder call")
    longest = max(geometry.grid)
    if longest > architecture.transformer.rope_max_seq_len:
        notes.append(
            f"{longest} tokens along one axis exceed the rotary table of {architecture.transformer.rope_max_seq_len}: "
            "costs are extrapolated, the real transformer refuses this size"
        )
    notes.append(f"text is padded to {geometry.text_len} tokens in every transformer call, however short the prompt")
    return notes
