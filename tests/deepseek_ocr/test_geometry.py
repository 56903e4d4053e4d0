"""Image modes, tile grids and token counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfkit_deepseek_ocr.geometry import (
    MODES,
    TILE_SIZE,
    choose_grid,
    features_per_axis,
    image_tokens,
    parse_grid,
    tile_grids,
    vision_tokens,
)
from perfkit_deepseek_ocr.options import OcrWorkload
from perfkit_deepseek_ocr.plugin import perfkit_workloads
from pydantic import ValidationError

TOKENS = {"tiny": (64, 8 * 9 + 1), "small": (100, 10 * 11 + 1), "base": (256, 16 * 17 + 1), "large": (400, 20 * 21 + 1)}


@pytest.mark.parametrize("mode", TOKENS)
def test_tokens_of_a_global_view(mode: str) -> None:
    assert (vision_tokens(mode, None), image_tokens(mode, None)) == TOKENS[mode]


@pytest.mark.parametrize("grid", tile_grids())
def test_tokens_of_a_grid(grid: tuple[int, int]) -> None:
    columns, rows = grid
    assert vision_tokens("gundam", grid) == 100 * columns * rows + 256
    assert image_tokens("gundam", grid) == (10 * columns + 1) * 10 * rows + 273


def test_published_token_counts() -> None:
    assert [features_per_axis(size) for size in (512, 640, 1024, 1280)] == [8, 10, 16, 20]
    assert features_per_axis(1000) == 16
    assert [image_tokens("gundam", grid) for grid in ((2, 2), (2, 3), (3, 3))] == [693, 903, 1203]


def test_the_grids_are_those_of_two_to_nine_tiles() -> None:
    assert len(tile_grids()) == len(set(tile_grids())) == 22
    assert all(2 <= columns * rows <= 9 for columns, rows in tile_grids())


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((640, 640), None),
        ((1, 640), None),
        ((641, 640), (2, 2)),
        ((640, 641), (2, 2)),
        ((1000, 1000), (2, 2)),
        ((1280, 1280), (2, 2)),
        ((1358, 1357), (2, 2)),
        ((1360, 1360), (3, 3)),
        ((909, 615), (3, 2)),
        ((1240, 1754), (2, 3)),
        ((5000, 100), (9, 1)),
        ((100, 5000), (1, 9)),
    ],
)
def test_choosing_a_grid(size: tuple[int, int], grid: tuple[int, int] | None) -> None:
    assert choose_grid(*size) == grid


@given(st.integers(1, 6000), st.integers(1, 6000))
def test_no_other_grid_is_nearer(width: int, height: int) -> None:
    chosen = choose_grid(width, height)
    assert (chosen is None) == (max(width, height) <= TILE_SIZE)
    if chosen is None:
        return
    distances = {(columns, rows): abs(width / height - columns / rows) for columns, rows in tile_grids()}
    ties = [grid for grid in tile_grids() if distances[grid] == min(distances.values())]
    filled = [grid for grid in ties if 2 * width * height > TILE_SIZE**2 * grid[0] * grid[1]]
    assert chosen == (filled[-1] if filled else ties[0])


def test_a_doubled_grid_wins_from_more_than_half_its_area_on() -> None:
    half = 2 * 4 * TILE_SIZE**2 // 2
    side = next(side for side in range(1, 4000) if 2 * side * side > half)
    assert choose_grid(side - 1, 2 * (side - 1)) == (1, 2)
    assert choose_grid(side, 2 * side) == (2, 4)


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_an_empty_image_has_no_grid(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="has no grid"):
        choose_grid(*size)


@pytest.mark.parametrize("text", ["2x3", " 2X3 "])
def test_a_grid_is_columns_by_rows(text: str) -> None:
    assert parse_grid(text) == (2, 3)
    assert OcrWorkload(grid=text).grid == "2x3"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("1x1", "use mode=base"),
        ("2x5", "use 3x3 or fewer"),
        ("99999x1", "write it like 2x3"),
        ("0x3", "write it like 2x3"),
        ("2", "write it like 2x3"),
        ("-2x-2", "write it like 2x3"),
        ("", "write it like 2x3"),
    ],
)
def test_a_wrong_grid_says_what_to_write(text: str, fix: str) -> None:
    with pytest.raises(ValidationError, match=fix):
        OcrWorkload(grid=text)


def test_defaults() -> None:
    assert (
        OcrWorkload().model_dump().items()
        >= {
            "mode": "gundam",
            "grid": "2x2",
            "pages": 1,
            "batch_size": 1,
            "prompt_tokens": 10,
            "max_new_tokens": 512,
        }.items()
    )
    values = {workload.name: OcrWorkload(**workload.values) for workload in perfkit_workloads()}
    assert values["standard"] == OcrWorkload()
    assert (values["quick"].mode, values["quick"].max_new_tokens) == ("base", 64)
    assert MODES == ("tiny", "small", "base", "large", "gundam")
