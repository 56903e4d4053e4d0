"""The real page reading: against the library's own generation, under regions, and with every option."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from perfkit_deepseek_ocr.estimate import estimate
from perfkit_deepseek_ocr.generation import with_separators
from perfkit_deepseek_ocr.geometry import choose_grid, tile_grids
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.pages import draw_page, page_size
from perfkit_deepseek_ocr.pixels import global_view, tile_views

from perfkit_core.errors import UsageError
from perfkit_core.options import build_options
from perfkit_core.regions import ALL, Regions

from .real import LOAD, SMALL, built, read, request

GUNDAM = {"mode": "gundam", "grid": "1x2", "max_new_tokens": 2}
VOCABULARY, IMAGE = 1024, 1023


def library_inputs(workload: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what the library's own model takes for page 0, made from the pages and the prompt's recipe."""
    asked = OcrWorkload(**workload)
    grid = (1, 2) if asked.mode == "gundam" else None
    image = draw_page(0, page_size(asked.mode, grid), seed)
    tokens = estimate(request(), asked).geometry["image_tokens"]
    words = torch.randint(
        2, VOCABULARY - 1, (1, asked.prompt_tokens - 1), generator=torch.Generator().manual_seed(seed)
    )
    ids = torch.cat([torch.zeros(1, 1, dtype=torch.long), torch.full((1, tokens), IMAGE), words], dim=1)
    found = {"input_ids": ids, "pixel_values": global_view(image, asked.mode)[None]}
    if grid:
        tiles = torch.stack(tile_views(image, grid))
        found |= {"pixel_values_local": tiles, "num_local_patches": [len(tiles)], "patches_grid": [list(grid)]}
    return found


@pytest.mark.parametrize("ngram", [0, 2])
@pytest.mark.parametrize("shape", [{"mode": "tiny", "max_new_tokens": 40}, {**GUNDAM, "max_new_tokens": 8}])
def test_tokens_are_those_of_the_library(shape: dict[str, Any], ngram: int) -> None:
    parts = LOAD(request(seed=3))
    tokens, _ = read(built({**shape, "no_repeat_ngram": ngram}, seed=3, components=parts))
    inputs = library_inputs(shape, 3)
    generated = parts["model"].generate(
        **inputs,
        attention_mask=torch.ones_like(inputs["input_ids"]),
        max_new_tokens=shape["max_new_tokens"],
        do_sample=False,
        eos_token_id=None,
        **({"no_repeat_ngram_size": ngram} if ngram else {}),
    )
    assert tokens.tolist() == generated[:, inputs["input_ids"].shape[1] :].tolist()
    assert len(set(tokens[0].tolist())) > shape["max_new_tokens"] // 4  # no degenerate answer would do


def test_tokens_are_those_of_full_recomputation() -> None:
    parts = LOAD(request(seed=5))
    shape = {"mode": "tiny", "max_new_tokens": 24}
    tokens, _ = read(built(shape, seed=5, components=parts))
    inputs = library_inputs(shape, 5)
    with torch.no_grad():
        for _ in range(24):
            logits = parts["model"](**inputs, use_cache=False).logits
            inputs["input_ids"] = torch.cat([inputs["input_ids"], logits[:, -1:].argmax(-1)], dim=1)
    assert tokens.tolist() == inputs["input_ids"][:, -24:].tolist()


def test_no_sequence_comes_twice() -> None:
    parts = LOAD(request(seed=3))
    free, _ = read(built({"mode": "tiny", "max_new_tokens": 60}, seed=3, components=parts))
    tokens, _ = read(built({"mode": "tiny", "max_new_tokens": 60, "no_repeat_ngram": 1}, seed=3, components=parts))
    assert len(set(tokens[0].tolist())) == 60
    assert len(set(free[0].tolist())) < 60


@pytest.mark.parametrize("head", ["last", "all"])
@pytest.mark.parametrize("shape", [SMALL, GUNDAM, {**SMALL, "pages": 3, "batch_size": 2, "max_new_tokens": 3}])
def test_regions_are_the_rows_of_the_tree(shape: dict[str, Any], head: str) -> None:
    tokens, calls = read(built(shape, head_positions=head), depth=9)
    tree = estimate(request(head_positions=head), OcrWorkload(**shape))
    rows = dict(tree.rows())
    assert calls.paths == {path: row.calls for path, row in rows.items() if row.calls and path}
    assert tokens.shape == (tree.geometry["pages"], shape["max_new_tokens"])
    assert calls.totals == {tree.geometry["decode_steps"]}


@pytest.mark.parametrize("mode", ["tiny", "small", "base", "large", "gundam"])
def test_prompts_and_features_are_as_long_as_estimated(mode: str) -> None:
    shape = {"mode": mode, "grid": "2x1", "max_new_tokens": 1, "prompt_tokens": 7}
    seen: dict[str, Any] = {}
    parts = LOAD(request())
    parts["model"].model.language_model.register_forward_pre_hook(
        lambda _, __, given: seen.update(prompt=given["inputs_embeds"].shape[1]), with_kwargs=True
    )
    features = []
    parts["model"].model.multi_modal_projector.register_forward_hook(
        lambda _, __, out: features.append(out.shape[0] * out.shape[1])
    )
    read(built(shape, components=parts))
    geometry = estimate(request(), OcrWorkload(**shape)).geometry
    assert seen["prompt"] == geometry["prompt_tokens"] == geometry["image_tokens"] + 7
    assert sum(features) == geometry["vision_tokens"]


def test_features_and_separators_stand_row_by_row() -> None:
    whole = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    tiles = torch.arange(10.0, 26.0).reshape(4, 4, 1)
    newline, separator = torch.tensor([-1.0]), torch.tensor([-2.0])
    alone = with_separators(whole, None, None, newline, separator)
    assert alone.flatten().tolist() == [1, 2, -1, 3, 4, -1, -2]
    both = with_separators(whole, tiles[:2], (2, 1), newline, separator).flatten().tolist()
    assert both == [10, 11, 14, 15, -1, 12, 13, 16, 17, -1, 1, 2, -1, 3, 4, -1, -2]


@pytest.mark.parametrize("grid", tile_grids())
def test_drawn_pages_would_be_cut_into_the_grid_asked_for(grid: tuple[int, int]) -> None:
    assert choose_grid(*page_size("gundam", grid)) == grid


def test_a_seed_decides_everything() -> None:
    first, again, other = (built(SMALL, seed=seed) for seed in (1, 1, 2))
    tokens = read(first)[0]
    assert torch.equal(read(again)[0], tokens)
    assert torch.equal(read(again)[0], tokens)
    assert not torch.equal(read(other)[0], tokens)
    assert first.inputs() == again.inputs() != other.inputs()
    first.close()


def test_inputs_and_units_tell_the_pages() -> None:
    workload = built({**SMALL, "pages": 4, "batch_size": 2, "max_new_tokens": 9})
    assert workload.units() == {"pages": 4, "tokens": 36}
    pages = [entry for entry in workload.inputs() if entry["name"].startswith("page ")]
    assert [page["kind"] for page in pages] == ["text-heavy", "mixed", "image-rich", "text-heavy"]
    assert len({page["sha256"] for page in pages}) == 4
    assert {(page["width"], page["height"]) for page in pages} == {(384, 512)}


@pytest.mark.parametrize("choice", [{"attention": "eager"}, {"experts": "eager"}, {"experts": "batched_mm"}])
def test_choices_of_kernels_do_not_change_the_answer(choice: dict[str, Any]) -> None:
    assert torch.equal(read(built(SMALL, **choice))[0], read(built(SMALL))[0])
    costs = [estimate(request(**options), OcrWorkload(**SMALL)).total() for options in ({}, choice)]
    assert costs[0] == costs[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("experts", ["grouped_mm", "eager"])
def test_every_element_type_runs(dtype: str, experts: str) -> None:
    tokens, _ = read(built(SMALL, dtype=dtype, experts=experts))
    assert tokens.shape == (1, 6)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_compiling_hides_what_is_inside_decode_and_says_so(monkeypatch: pytest.MonkeyPatch, attention: str) -> None:
    real, asked = torch.compile, []

    def without_code_generation(module: Any, *, mode: str, dynamic: bool) -> Any:
        asked.append((type(module).__name__, mode, dynamic))
        return real(module, backend="eager", dynamic=dynamic)

    shape = {**SMALL, "max_new_tokens": 120}  # long enough for the unused rest of the cache to matter
    expected, _ = read(built(shape))
    monkeypatch.setattr(torch, "compile", functools.wraps(real)(without_code_generation))
    workload = built(shape, compile="default", attention=attention)
    regions = Regions(depth=9, iterations=ALL)
    for _ in range(2):
        regions.begin(0, warmup=False)
        tokens: Any = workload.step(regions)
        regions.end()
        assert torch.equal(tokens, expected)
    assert asked == [("UnlimitedOcrTextModel", "default", False)]
    assert list(regions.hidden) == ["decode/language_model"]
    regions.close()
    _, calls = read(workload, depth=9)
    assert calls.paths["decode/language_model"] == calls.paths["decode/lm_head"] == 119
    assert not any(path.startswith("decode/language_model/") for path in calls.paths)
    assert "prefill/language_model/layers.1/mlp/experts" in calls.paths


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"attention": "flash"}, "sdpa"),
        ({"experts": "fast"}, "batched_mm"),
        ({"compile": "fast"}, "max-autotune"),
        ({"compile": "default", "experts": "eager"}, "needs experts=grouped_mm"),
        ({"compile": "reduce-overhead", "dtype": "float32"}, "needs experts=batched_mm"),
    ],
)
def test_choices_that_cannot_be_are_usage_errors(values: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError) as raised:
        build_options(OcrModelOptions, values, owner="model 'deepseek_ocr'")
    assert named in str(raised.value)
