"""What was read, written to files: tokens, text and boxes of every page, and the pages with their boxes drawn.

An answer names boxes as ``<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>``, with coordinates from 0 to
999 across the page. A model may write anything: what is no such box is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perfkit_core.checkpoints import reason
from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_deepseek_ocr.page_inputs import Page

PREDICTIONS = "predictions.jsonl"
SCALE = 999
"""Coordinate of the last column and of the last row."""

_FOUND = re.compile(r"<\|ref\|>(.*?)<\|/ref\|>\s*<\|det\|>(.*?)<\|/det\|>", re.DOTALL)
_NUMBER = r"\s*(\d{1,4})(?:\.\d{0,9})?\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_INK, _LABEL_LENGTH = (200, 30, 30), 60


class Box(NamedTuple):
    """A labelled rectangle on a page, in pixels of its image; right and bottom are inside.

    Attributes:
        label: What the model says is there.
        left: First column.
        top: First row.
        right: Last column.
        bottom: Last row.
    """

    label: str
    left: int
    top: int
    right: int
    bottom: int


def boxes_of(text: str, width: int, height: int) -> list[Box]:
    """Return the boxes that ``text`` names on a page of that many pixels.

    Corners in the wrong order, coordinates beyond 999 and everything else that is no box are left out.
    """
    return [
        Box(label.strip(), *corners)
        for label, place in _FOUND.findall(text)
        for corners in _corners(place, width, height)
    ]


def _corners(place: str, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    for found in _BOX.findall(place):
        left, top, right, bottom = map(int, found)
        if left <= right <= SCALE and top <= bottom <= SCALE:
            yield _pixel(left, width), _pixel(top, height), _pixel(right, width), _pixel(bottom, height)


def _pixel(coordinate: int, pixels: int) -> int:
    return (2 * coordinate * (pixels - 1) + SCALE) // (2 * SCALE)  # rounded half up


def read_tokenizer(checkpoint: Path | None) -> Any:
    """Return the checkpoint's tokenizer; None where there is no checkpoint or it holds none.

    Raises:
        MissingError: The package tokenizers is not installed.
        DamagedFileError: The file cannot be parsed.
    """
    path = None if checkpoint is None else checkpoint / "tokenizer.json"
    if path is None or not path.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingError(f"text of answers needs tokenizers: {error}", fix="pip install tokenizers") from None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises plain Exception for a file it cannot parse
        raise DamagedFileError(f"checkpoint file {path} is no tokenizer: {reason(error)}") from None


def write_predictions(
    directory: Path, pages: Sequence[Page], tokens: Sequence[Sequence[int]], checkpoint: Path | None
) -> None:
    """Write ``predictions.jsonl``, a line for every page, and ``overlays/``, a picture for every page.

    Args:
        tokens: Generated tokens of every page.
        checkpoint: Where weights and tokenizer come from; None for random weights.

    Raises:
        MissingError: A page cannot be read again, or tokenizers is not installed.
        DamagedFileError: The tokenizer cannot be parsed.
    """
    tokenizer = read_tokenizer(checkpoint)
    overlays = directory / "overlays"
    overlays.mkdir(parents=True, exist_ok=True)
    with (directory / PREDICTIONS).open("w", encoding="utf-8") as file:
        for page, answer in zip(pages, tokens, strict=True):
            image = page.image()
            text = None if tokenizer is None else tokenizer.decode(list(answer), skip_special_tokens=False)
            boxes = [] if text is None else boxes_of(text, image.width, image.height)
            overlay = overlays / f"page_{page.number:04}.png"
            draw_boxes(image, boxes).save(overlay)
            line = {
                "page": page.number,
                "image": None if page.path is None else str(page.path),
                "width": image.width,
                "height": image.height,
                "tokens": list(answer),
                "text": text,
                "boxes": [box._asdict() for box in boxes],
                "overlay": f"{overlays.name}/{overlay.name}",
                "note": _note(checkpoint, tokenizer),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def draw_boxes(image: Any, boxes: Sequence[Box]) -> Any:
    """Return a copy of a page, a Pillow image in RGB, with the boxes and their labels on it."""
    from PIL import ImageDraw

    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for box in boxes:
        draw.rectangle((box.left, box.top, box.right, box.bottom), outline=_INK, width=2)
        # The built-in font may lack a letter of any label.
        label = box.label[:_LABEL_LENGTH].encode("ascii", "replace").decode("ascii").replace("\n", " ")
        draw.text((box.left + 3, box.top + 2), label, fill=_INK)
    return copy


def _note(checkpoint: Path | None, tokenizer: Any) -> str:
    if checkpoint is None:
        return "random weights: the tokens mean nothing, and there is no text and no box in them"
    return "" if tokenizer is not None else "the checkpoint has no tokenizer.json: no text, and so no boxes"
