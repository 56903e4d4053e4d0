"""Warm and in process: one transformer estimate against torch's FlopCounterMode on the same workload.

Every estimate uses another height, so nothing computed for one workload can serve the next. Its time ends
when the row of every module exists; identical blocks are computed once and shared.

    python benchmarks/estimate.py
"""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from perfkit_wan2_1.estimate import architecture_of, geometry_of
from perfkit_wan2_1.geometry import Geometry
from perfkit_wan2_1.modules import transformer_module
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.transformer import transformer
from timing import interleaved, ratio, row
from torch.utils.flop_counter import FlopCounterMode

from perfkit_core.costtree import CostTree, MemoryEstimate, ModuleCost
from perfkit_core.specs import ModelRequest

OPTIONS = WanModelOptions()
ARCHITECTURE = architecture_of(ModelRequest(variant="t2v_14b", options=OPTIONS))
NO_MEMORY = MemoryEstimate(0, 0, {}, 0)
BATCH = 200


def geometry(height: int) -> Geometry:
    """One unguided step of 81 frames, ``height`` x 1280."""
    workload = WanWorkload(height=height, guidance=False, num_inference_steps=1)
    return geometry_of(ARCHITECTURE, OPTIONS, workload)


def estimate(shape: Geometry) -> list[ModuleCost]:
    """Return the row of every module of the transformer."""
    node = transformer(ARCHITECTURE.transformer, shape)
    return CostTree(stages=(("transformer", node),), memory=NO_MEMORY, geometry={}).rows()


def main() -> None:
    """Measure and print."""
    shape = geometry(720)
    with torch.device("meta"):
        module = transformer_module(ARCHITECTURE.transformer, OPTIONS.dtype)
        latents = torch.empty(1, 16, shape.latent_frames, shape.latent_height, shape.latent_width, dtype=torch.bfloat16)
        step, text = torch.empty(1, dtype=torch.long), torch.empty(1, shape.text_len, 4096, dtype=torch.bfloat16)
    counted: list[int] = []

    def forward() -> None:
        module(latents, step, text)

    def count() -> None:
        counter = FlopCounterMode(display=False)
        with counter:
            forward()
        counted.append(counter.get_total_flops())

    heights = itertools.cycle([geometry(16 * n) for n in range(20, 60)])
    batches: list[float] = []

    def estimates() -> None:
        started = time.perf_counter()
        for _ in range(BATCH):
            estimate(next(heights))
        batches.append((time.perf_counter() - started) / BATCH)

    with torch.no_grad():
        for warm_up in (forward, count, estimates):
            warm_up()
        batches.clear()
        seconds = interleaved({"counter": count, "forward": forward, "estimate": estimates}, repeats=7)
    rows = estimate(shape)
    ours = statistics.median(batches)
    if rows[0][1].inclusive.flops != counted[-1]:
        raise SystemExit(f"the two sides disagree: {rows[0][1].inclusive.flops} and {counted[-1]} FLOPs")
    print(f"Wan2.1 14B transformer, 81 frames 720x1280: {len(rows)} modules, {counted[-1]} FLOPs on both sides")
    row("FlopCounterMode on the meta device", seconds["counter"])
    row("the bare forward on the meta device", seconds["forward"])
    row("one estimate, every row", ours)
    ratio("FlopCounterMode / estimate", seconds["counter"], ours, ">= 1000")
    ratio("bare forward / estimate", seconds["forward"], ours, "none; for scale")


if __name__ == "__main__":
    main()
