"""The real page reading, built and run in the test's own process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.plugin import perfkit_models, perfkit_workloads

from perfkit_core.regions import ALL, Iteration, Recorder, Regions
from perfkit_core.specs import ModelRequest
from perfkit_core.workload import BuildContext, Workload

LOAD = perfkit_models()[0].load
BUILD = perfkit_workloads()[0].build
SMALL: Mapping[str, Any] = {"mode": "tiny", "max_new_tokens": 6}


class Calls(Recorder):
    """Counts every region, and notes the size of every loop."""

    def __init__(self) -> None:
        self.paths: Counter[str] = Counter()
        self.totals: set[int] = set()

    def push(self, path: str, iteration: Iteration | None, **details: Any) -> None:
        self.paths[path] += 1
        if iteration is not None:
            self.totals.add(iteration.total)


def request(seed: int = 0, **options: Any) -> ModelRequest:
    return ModelRequest(
        variant="tiny", options=OcrModelOptions(**{"dtype": "float32", **options}), device="cpu", seed=seed
    )


def built(
    workload: Mapping[str, Any], *, seed: int = 0, components: Mapping[str, Any] | None = None, **options: Any
) -> Workload:
    """Return a workload that is ready to run, on new random weights unless ``components`` are given."""
    assert BUILD is not None
    asked = request(seed, **options)
    found = BUILD(
        BuildContext(
            request=asked,
            options=OcrWorkload(**workload),
            components=components or LOAD(asked),
            device="cpu",
            seed=seed,
        )
    )
    found.prepare()
    return found


def read(workload: Workload, **settings: Any) -> tuple[torch.Tensor, Calls]:
    """Run ``workload`` once; return the tokens and the regions seen."""
    calls = Calls()
    regions = Regions((calls,), **{"iterations": ALL, **settings})
    regions.begin(0, warmup=False)
    tokens: Any = workload.step(regions)
    regions.end()
    regions.close()
    return tokens, calls
