"""The other side of ``cold.py``: a plain script that builds the three networks on meta and counts them."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config, UMT5EncoderModel

STEPS, PASSES = 50, 2


def main() -> None:
    """Count one call of each network and scale by the calls of a guided 81-frame 720x1280 generation."""
    with torch.device("meta"), torch.no_grad():
        sizes = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "num_heads": 64, "d_ff": 10240, "num_layers": 24}
        encoder = UMT5EncoderModel(UMT5Config(feed_forward_proj="gated-gelu", **sizes)).to(torch.bfloat16)
        denoiser, vae = WanTransformer3DModel(text_dim=4096), AutoencoderKLWan()
        for parameter in denoiser.parameters():
            parameter.data = parameter.data.to(torch.bfloat16)
        latents, text = (torch.empty(*size, dtype=torch.bfloat16) for size in ((1, 16, 21, 90, 160), (1, 512, 4096)))
        calls: dict[str, tuple[int, Callable[[], object]]] = {
            "text_encoder": (PASSES, lambda: encoder(torch.empty(1, 512, dtype=torch.long))),
            "denoise": (STEPS * PASSES, lambda: denoiser(latents, torch.empty(1, dtype=torch.long), text)),
            "vae_decode": (1, lambda: vae.decode(torch.empty(1, 16, 21, 90, 160))),
        }
        stages: dict[str, int] = {}
        for name, (times, call) in calls.items():
            counter = FlopCounterMode(display=False)
            with counter:
                call()
            total: int = counter.get_total_flops()
            stages[name] = times * total
    print(json.dumps({"flops": sum(stages.values()), "stages": stages}))


if __name__ == "__main__":
    main()
