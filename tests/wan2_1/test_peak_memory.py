"""Peak memory formulas against live tensors of the real modules on the meta device."""

from __future__ import annotations

import pytest
import torch
from perfkit_wan2_1.estimate import architecture_of, geometry_of
from perfkit_wan2_1.memory import denoise_peak, text_encoder_peak, vae_decode_peak
from perfkit_wan2_1.modules import text_encoder_module, transformer_module, vae_module
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.references import _denoise, _encode

from perfkit_core.specs import ModelRequest

from .live_memory import peak_bytes

SHAPES = {
    "ci_tiny": {"num_frames": 4, "height": 256, "width": 256, "text_len": 64},
    "p512": {"num_frames": 16, "height": 512, "width": 512},
    "wide": {"num_frames": 33, "height": 480, "width": 832, "text_len": 128, "batch_size": 2},
    "text_heavy": {"num_frames": 1, "height": 128, "width": 128, "text_len": 2048},
}


def _case(variant: str, dtype: str, vae_dtype: str, shape: dict[str, int]):
    options = WanModelOptions(dtype=dtype, vae_dtype=vae_dtype)
    request = ModelRequest(variant=variant, options=options)
    architecture = architecture_of(request)
    return architecture, geometry_of(architecture, options, WanWorkload(guidance=False, **shape))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("variant", ["t2v_14b", "tiny"])
def test_text_encoder_and_transformer_peak(variant: str, dtype: str, shape: dict[str, int]) -> None:
    architecture, geometry = _case(variant, dtype, "float32", shape)
    with torch.device("meta"):
        encoder = text_encoder_module(architecture.text_encoder, dtype)
        denoiser = transformer_module(architecture.transformer, dtype)
    measured, _ = peak_bytes(encoder, lambda module: _encode(module, geometry))
    assert text_encoder_peak(architecture.text_encoder, geometry) == pytest.approx(measured, rel=0.03)
    channels, text_dim = architecture.transformer.in_channels, architecture.transformer.text_dim
    measured, _ = peak_bytes(denoiser, lambda module: _denoise(module, geometry, channels, text_dim))
    tables = 2 * architecture.transformer.rope_max_seq_len * architecture.transformer.attention_head_dim * 4
    assert denoise_peak(architecture.transformer, geometry) - tables == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("variant", ["t2v_14b", "tiny"])
def test_vae_peak(variant: str, dtype: str, shape: dict[str, int]) -> None:
    architecture, geometry = _case(variant, "bfloat16", dtype, shape)
    with torch.device("meta"):
        vae = vae_module(architecture, dtype)
        size = (geometry.batch, architecture.vae.z_dim, geometry.latent_frames)
        latents = torch.empty(*size, geometry.latent_height, geometry.latent_width, dtype=getattr(torch, dtype))
    measured, _ = peak_bytes(vae, lambda module: module.decode(latents))
    assert vae_decode_peak(architecture.vae, geometry) == pytest.approx(measured, rel=0.03)
