"""On a GPU: what ``wall_clock`` reports for a stage, against a bare loop with CUDA events around the same calls.

Both sides run the full-size Wan2.1 transformer in one process, interleaved. The bare side knows nothing of
perfkit: two events around each call of the module. perfkit's side is the recorder of the ``wall_clock``
backend with module regions at the default depth.

    python benchmarks/wall_clock_step.py [workload]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import torch
from perfkit_wan2_1.estimate import architecture_of, geometry_of
from perfkit_wan2_1.modules import build_modules
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.workloads import workloads
from timing import ratio, row

from perfkit_core.instruments.timing import TimingRecorder
from perfkit_core.regions import Regions
from perfkit_core.schema.session import RunSample
from perfkit_core.specs import ModelRequest

DEVICE, CALLS, ROUNDS = "cuda:0", 4, 7


def main() -> None:
    """Measure and print."""
    name = sys.argv[1] if len(sys.argv) > 1 else "p512"
    if not torch.cuda.is_available():
        raise SystemExit("this benchmark needs a GPU that torch can use")
    request = ModelRequest(variant="t2v_14b", options=WanModelOptions(), device=DEVICE)
    values = {spec.name: spec.values for spec in workloads()}[name]
    shape = geometry_of(architecture_of(request), WanModelOptions(), WanWorkload(**values))
    transformer = build_modules(request)["transformer"]
    size = (1, 16, shape.latent_frames, shape.latent_height, shape.latent_width)
    latents = torch.randn(size, dtype=torch.bfloat16, device=DEVICE)
    step = torch.ones(1, dtype=torch.long, device=DEVICE)
    text = torch.randn(1, shape.text_len, 4096, dtype=torch.bfloat16, device=DEVICE)

    def bare() -> float:
        times = []
        for _ in range(CALLS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            transformer(latents, step, text)
            end.record()
            times.append((start, end))
        torch.cuda.synchronize()
        return statistics.fmean(start.elapsed_time(end) for start, end in times)

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        samples = Path(folder) / "samples.jsonl"

        def recorded() -> float:
            regions = Regions((TimingRecorder(DEVICE, samples),))
            regions.watch(transformer, "transformer")
            regions.begin(0, warmup=False, detailed=True)
            with regions.region("denoise"):
                for _ in regions.loop("step", CALLS):
                    transformer(latents, step, text)
            regions.end()
            regions.close()
            run = RunSample.model_validate_json(samples.read_text(encoding="utf-8").splitlines()[-1])
            found = [one.device_ns for one in run.regions if one.path == "denoise/step/transformer"]
            return statistics.fmean(time for time in found if time is not None) / 1e6

        for side in (bare, recorded):
            side()
        rounds = [(bare(), recorded()) for _ in range(ROUNDS)]
    plain, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(f"Wan2.1 14B transformer at {name} on {torch.cuda.get_device_name()}, {ROUNDS} rounds of {CALLS} calls")
    row("bare loop with CUDA events, per call", plain / 1e3)
    row("region denoise/step/transformer of wall_clock", ours / 1e3)
    ratio("wall_clock / bare loop", ours, plain, "1 +- 0.01")


if __name__ == "__main__":
    main()
