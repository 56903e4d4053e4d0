"""Parameters of the Wan2.1 model and of its text-to-video workloads."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from perfkit_core.options import Options

FRAME_MULTIPLE = 16
"""Height and width step: 8 pixels per latent (VAE) times 2 latents per token (patch)."""

ComputeType = Literal["bfloat16", "float16", "float32"]
Attention = Literal["sdpa", "math", "efficient", "flash", "cudnn", "flash_attn"]
CompileMode = Literal["none", "default", "reduce-overhead", "max-autotune"]

HALF_PRECISION_ATTENTION = frozenset({"flash", "cudnn", "flash_attn"})
CUDA_GRAPH_MODES = frozenset({"reduce-overhead", "max-autotune"})
"""Modes of torch.compile that record CUDA graphs."""


class WanModelOptions(Options):
    """How the model is held."""

    dtype: ComputeType = Field(
        default="bfloat16", description="element type of the text encoder and the transformer: bfloat16|float16|float32"
    )
    vae_dtype: ComputeType = Field(
        default="float32", description="element type of the VAE: bfloat16|float16|float32 (pipelines keep float32)"
    )
    offload: Literal["none", "stage"] = Field(
        default="none", description="none: all three networks stay on the device; stage: only the one in use"
    )
    attention: Attention = Field(
        default="sdpa",
        description=(
            "attention of the transformer when measured: sdpa (torch chooses)|math|efficient|flash|cudnn (torch's own "
            "kernels)|flash_attn (that package)"
        ),
    )
    compile: CompileMode = Field(
        default="none", description="torch.compile of the transformer when measured: " + "|".join(get_args(CompileMode))
    )

    @model_validator(mode="after")
    def _fit_together(self) -> WanModelOptions:
        if self.dtype == "float32" and self.attention in HALF_PRECISION_ATTENTION:
            raise ValueError(f"attention={self.attention} needs dtype=bfloat16 or float16")
        if self.offload == "stage" and self.compile in CUDA_GRAPH_MODES:
            raise ValueError(
                f"offload=stage moves the weights that the CUDA graphs of compile={self.compile} hold on to: "
                "use compile=default"
            )
        return self


class WanWorkload(Options):
    """One text-to-video generation."""

    batch_size: int = Field(default=1, ge=1, le=1_000_000, description="videos generated at once, at least 1")
    num_frames: int = Field(
        default=81, ge=1, le=1_000_000, description="video frames, at least 1; the model makes 4n+1, others are floored"
    )
    height: int = Field(default=720, ge=16, le=1_000_000, description="rows in pixels, a multiple of 16")
    width: int = Field(default=1280, ge=16, le=1_000_000, description="columns in pixels, a multiple of 16")
    num_inference_steps: int = Field(default=50, ge=1, le=1_000_000, description="denoising steps, at least 1")
    text_len: int = Field(
        default=512, ge=1, le=1_000_000, description="padded length of the prompt in tokens, at least 1"
    )
    guidance: bool = Field(
        default=True, description="classifier-free guidance: two transformer calls a step, two prompts (true|false)"
    )

    @field_validator("height", "width")
    @classmethod
    def _fits_the_grid(cls, value: int) -> int:
        if value % FRAME_MULTIPLE:
            below = value - value % FRAME_MULTIPLE
            nearest = f"{below} or {below + FRAME_MULTIPLE}"
            raise ValueError(
                f"must be a multiple of {FRAME_MULTIPLE} (8 pixels a latent, 2 latents a token): use {nearest}"
            )
        return value
