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
from perfkit_core.regions import Iteration, Recorder, Regions
from perfkit_core.sampling import blocks
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


def positions(total: int, wanted: int, lead: int = 1) -> list[int]:
    return [position for block in blocks(total, wanted, lead) for position in block]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 64), st.integers(0, 3))
def test_blocks_are_spread_evenly_and_centred(total: int, wanted: int, lead: int) -> None:
    wanted = min(wanted, total)
    found, chosen = blocks(total, wanted, lead), positions(total, wanted, lead)
    assert len(chosen) == wanted
    assert chosen == sorted(set(chosen))
    assert chosen[-1] < total and chosen[0] >= min(lead, (total - wanted) // 2)
    assert len({len(block) for block in found}) == 1 and len(found) <= 4
    assert abs(2 * sum(chosen) - wanted * (total - 1)) <= wanted  # centred, to the half of one position
    starts = [block.start for block in found]
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    if total >= 8 * wanted:  # room enough: the blocks stand in the middles of equal parts
        assert all(abs(gap - total / len(found)) <= 2 for gap in gaps)


def test_tokens_are_measured_at_four_places() -> None:
    assert blocks(511, 32, 1) == [range(59, 67), range(187, 195), range(316, 324), range(444, 452)]
    assert blocks(34, 32, 1) == [range(1, 9), range(9, 17), range(17, 25), range(25, 33)]
    assert blocks(100, 3, 1) == [range(16, 17), range(49, 50), range(83, 84)]


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
    expected = positions(299, 32)
    assert [end - prompt - 1 for end, *_ in seen] == expected
    assert [length for _, length, *_ in seen] == [prompt + position + 1 for position in expected]
    assert all(low >= 0 and high < 1024 for *_, low, high in seen)
    assert tokens.shape == (1, 37)  # the prompt's, and those of 32 steps and 4 of warm-up
    mean = sum(length for _, length, *_ in seen) / 32
    assert mean == pytest.approx(prompt + 150)  # of all 299 steps: contexts of prompt + 1 to prompt + 299 keys


def test_a_sampled_answer_begins_as_the_whole_one() -> None:
    parts = LOAD(request(seed=3))
    regions = Regions(iterations=3)
    sampled: Any = built(LONG, seed=3, components=parts).step(regions)
    whole: Any = built({**SMALL, "max_new_tokens": 3}, seed=3, components=parts).step(Regions(iterations=0))
    assert sampled[:, :1].tolist() == whole[:, :1].tolist()  # the prompt's own; the steps are elsewhere


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
    assert ran == [11, 12, 36, 37, 61, 62, 86, 87]
    assert reached == [11, 36, 61, 86]
    sample = RunSample.model_validate_json((tmp_path / "runs.jsonl").read_text())
    run = totals(sample)
    assert run.whole < 50_000_000 * 2
    decode, seek = run.regions["decode"], run.regions["decode_seek"]
    assert (decode.instances, len(decode.values), decode.measured, decode.total) == (100, 4, 4, 100)
    assert (seek.instances, seek.inclusive, seek.is_named, seek.measured) == (0, 0, False, 0)
    assert [one.index for one in sample.regions if one.path == "decode"] == [0, 1, 0, 2, 0, 3, 0, 4]


def test_without_sampling_nothing_is_reached() -> None:
    assert list(Regions().loop("decode", 5, measure=9, reach=pytest.fail)) == [0, 1, 2, 3, 4]
