"""Decoding sampled over the whole growing context."""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_deepseek_ocr.estimate import estimate
from perfkit_deepseek_ocr.options import OcrWorkload

from perfkit_core.backends.samples import totals
from perfkit_core.instruments.timing import TimingRecorder
from perfkit_core.regions import Iteration, Recorder, Regions, spread
from perfkit_core.schema.session import RunSample

from .real import LOAD, SMALL, built, request

LONG = {**SMALL, "max_new_tokens": 300}


class Measured(Recorder):
    """Knows whether the iteration that is running counts."""

    counts = False

    def push(self, path: str, iteration: Iteration | None, **details: Any) -> None:
        if path == "decode":
            self.counts = iteration is not None and not iteration.is_warmup

    def pop(self, path: str) -> None:
        if path == "decode":
            self.counts = False


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 64))
def test_positions_are_spread_evenly_and_centred(total: int, wanted: int) -> None:
    wanted = min(wanted, total)
    positions = spread(total, wanted)
    assert len(positions) == wanted
    assert positions == sorted(set(positions))
    assert positions[0] >= 0 and positions[-1] < total
    assert abs(2 * sum(positions) - wanted * (total - 1)) <= 1  # centred, to the half of one position
    gaps = [after - before for before, after in itertools.pairwise(positions)]
    assert not gaps or max(gaps) - min(gaps) <= 2


@pytest.mark.parametrize("compiled", [False, True])
def test_measured_steps_see_contexts_of_every_length(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    real = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        functools.wraps(real)(lambda module, *, mode, dynamic: real(module, backend="eager", dynamic=dynamic)),
    )
    parts = LOAD(request(seed=3))
    workload = built(LONG, seed=3, components=parts, compile="default" if compiled else "none")
    prompt = estimate(request(), OcrWorkload(**LONG)).geometry["prompt_tokens"]
    measured, seen, real_choice = Measured(), [], workload._choose

    def watch_choice(hidden: Any, tokens: Any, end: int) -> None:
        if measured.counts:
            cache = workload._fixed if compiled else caches[-1]
            seen.append((end, int(cache.get_seq_length()), int(tokens[:, :end].min()), int(tokens[:, :end].max())))
        real_choice(hidden, tokens, end)

    caches: list[Any] = []
    parts["model"].model.language_model.register_forward_pre_hook(
        lambda _, __, given: caches.append(given["past_key_values"]), with_kwargs=True
    )
    monkeypatch.setattr(workload, "_choose", watch_choice)
    regions = Regions((measured,))
    tokens: Any = workload.step(regions)
    regions.close()
    expected = spread(299, 32)
    assert [end - prompt - 1 for end, *_ in seen] == expected
    assert [length for _, length, *_ in seen] == [prompt + position + 1 for position in expected]
    assert all(low >= 0 and high < 1024 for *_, low, high in seen)
    assert tokens.shape == (1, 34)
    mean = sum(length for _, length, *_ in seen) / 32
    assert mean == pytest.approx(prompt + 150)  # of all 299 steps: contexts of prompt + 1 to prompt + 299 keys


def test_a_sampled_answer_begins_as_the_whole_one() -> None:
    parts = LOAD(request(seed=3))
    regions = Regions(iterations=3)
    sampled: Any = built(LONG, seed=3, components=parts).step(regions)
    whole: Any = built({**SMALL, "max_new_tokens": 3}, seed=3, components=parts).step(Regions(iterations=0))
    assert sampled[:, :2].tolist() == whole[:, :2].tolist()


def test_reaching_a_position_takes_no_time_of_the_loop(tmp_path: Path) -> None:
    recorder = TimingRecorder("cpu", tmp_path / "runs.jsonl")
    regions = Regions((recorder,))
    regions.begin(0, warmup=False)
    reached = []

    def reach(position: int) -> None:
        reached.append(position)
        time.sleep(0.05)

    ran = list(regions.loop("decode", 100, measure=4, reach=reach))
    regions.end()
    assert ran == [0, *spread(100, 4)]
    assert reached == spread(100, 4)
    run = totals(RunSample.model_validate_json((tmp_path / "runs.jsonl").read_text()))
    assert run.whole < 50_000_000 * 2
    assert run.regions["decode"].instances == 100
    assert len(run.regions["decode"].values) == 4


def test_without_sampling_nothing_is_reached() -> None:
    assert list(Regions().loop("decode", 5, measure=9, reach=pytest.fail)) == [0, 1, 2, 3, 4]
