"""What was read, saved to files: boxes parsed from any text, pictures with them, and the files of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_deepseek_ocr.page_inputs import Page
from perfkit_deepseek_ocr.predictions import Box, boxes_of, draw_boxes, write_predictions
from PIL import Image
from tokenizers import Tokenizer, decoders, models

from perfkit_core.errors import DamagedFileError
from perfkit_core.regions import ALL, Regions

from .real import SMALL, built

MARKS = (
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "[[",
    "]]",
    "[",
    "]",
    ",",
    " ",
    "\n",
    "title",
    "999",
    "-1",
    "1e9",
)
GARBAGE = st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=5), st.integers(-10, 2000).map(str))).map("".join)
BOX = st.tuples(*[st.integers(0, 999)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


def answer(label: str, *places: tuple[int, ...]) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{[list(place) for place in places]}<|/det|>"


@settings(max_examples=300, deadline=None)
@given(GARBAGE, st.integers(1, 3000), st.integers(1, 3000))
def test_any_text_can_be_parsed_and_every_box_is_on_the_page(text: str, width: int, height: int) -> None:
    for box in boxes_of(text, width, height):
        assert 0 <= box.left <= box.right < width
        assert 0 <= box.top <= box.bottom < height


@settings(max_examples=200, deadline=None)
@given(GARBAGE.filter(lambda text: "<|" not in text), st.lists(BOX, min_size=1, max_size=4), st.integers(1, 3000))
def test_boxes_are_found_among_garbage(garbage: str, places: list[tuple[int, ...]], side: int) -> None:
    found = boxes_of(f"{garbage}{answer('a figure', *places)}{garbage}", side, 2 * side)
    assert [box.label for box in found] == ["a figure"] * len(places)
    for box, place in zip(found, places, strict=True):
        for pixel, coordinate, pixels in zip(box[1:], place, (side, 2 * side, side, 2 * side), strict=True):
            assert abs(pixel - coordinate / 999 * (pixels - 1)) <= 0.5


def test_coordinates_become_pixels_of_the_page() -> None:
    text = "# Title\n" + answer("title", (0, 0, 999, 999), (100, 200, 300, 400)) + " text " + answer("", (5, 5, 5, 5))
    assert boxes_of(text, 1000, 2000) == [
        Box("title", 0, 0, 999, 1999),
        Box("title", 100, 400, 300, 800),
        Box("", 5, 10, 5, 10),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3]]<|/det|>",
        "<|ref|>a<|/ref|><|det|>[[30, 2, 3, 4]]<|/det|>",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 1000]]<|/det|>",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, -4]]<|/det|>",
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]",
        "<|det|>[[1, 2, 3, 4]]<|/det|>",
        "<|ref|>a<|/ref|><|det|>__import__('os')<|/det|>",
    ],
)
def test_what_is_no_box_is_left_out(text: str) -> None:
    assert boxes_of(text, 100, 100) == []


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80), BOX)
def test_any_label_can_be_drawn(label: str, place: tuple[int, ...]) -> None:
    blank = Image.new("RGB", (60, 40), "white")
    drawn = draw_boxes(blank, boxes_of(answer("x", place), 60, 40))
    assert drawn.tobytes() != blank.tobytes()
    draw_boxes(blank, [Box(label, 1, 1, 50, 30)])


def tokenizer_of_boxes(folder: Path) -> Path:
    """Write a tokenizer whose every token is a box."""
    folder.mkdir()
    words = {answer(f"word {number}", (100, 200, 300, 400)): number for number in range(1024)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=next(iter(words))))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_a_checkpoint_with_a_tokenizer_gives_text_boxes_and_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), "white").save(tmp_path / "a.png")
    page = Page(0, None, tmp_path / "a.png", (200, 100), 0)
    (tmp_path / "out").mkdir()
    write_predictions(tmp_path / "out", [page], [[7, 9]], tokenizer_of_boxes(tmp_path / "checkpoint"))
    (line,) = map(json.loads, (tmp_path / "out" / "predictions.jsonl").read_text().splitlines())
    assert (line["image"], line["tokens"], line["note"]) == (str(tmp_path / "a.png"), [7, 9], "")
    assert line["boxes"][1] == {"label": "word 9", "left": 20, "top": 20, "right": 60, "bottom": 40}
    picture = Image.open(tmp_path / "out" / line["overlay"])
    assert picture.size == (200, 100)
    assert picture.getpixel((20, 30)) != (255, 255, 255)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedFileError, match=r"tokenizer\.json is no tokenizer"):
        write_predictions(tmp_path, [], [], tmp_path)


def test_every_token_is_saved_even_where_measuring_samples(tmp_path: Path) -> None:
    values = {**SMALL, "max_new_tokens": 60, "pages": 2}
    workload: Any = built({**values, "save_predictions": True})
    workload.step(Regions())
    workload.save(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    whole: Any = built(values).step(Regions(iterations=ALL))
    assert [line["tokens"] for line in lines] == whole.tolist()
    assert [(line["text"], line["boxes"]) for line in lines] == [(None, [])] * 2
    assert all("random weights" in line["note"] for line in lines)
    silent = tmp_path / "silent"
    silent.mkdir()
    built(values).save(silent)
    assert list(silent.iterdir()) == []


def test_a_run_lists_what_it_saved(tmp_path: Path) -> None:
    out = tmp_path / "R"
    command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "run", "--model", "deepseek_ocr"]
    command += ["--variant", "tiny", "--backend", "wall_clock", "--device", "cpu", "--repeats", "1", "--warmup", "0"]
    for value in ("mode=tiny", "max_new_tokens=3", "save_predictions=true"):
        command += ["--set", value]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    index = json.loads((out / "run.json").read_text())
    (saved,) = out.rglob("predictions.jsonl")
    listed = json.dumps(index)
    assert str(saved.relative_to(out)) in listed
    assert "overlays/page_0000.png" in listed
    (line,) = map(json.loads, saved.read_text().splitlines())
    assert len(line["tokens"]) == 3
    stages = json.loads((out / "metrics.json").read_text())["aggregates"]["stage_ms"]
    assert stages["decode"]["instances"] == 2  # reading the page once more is in no timing
