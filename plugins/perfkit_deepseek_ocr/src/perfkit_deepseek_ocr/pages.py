"""Drawn pages: images that look like documents, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_deepseek_ocr.geometry import BASE_SIZES, TILE_SIZE, Grid, Mode

KINDS = ("text-heavy", "mixed", "image-rich")
"""What pages are drawn as, in turn."""

GENERATOR = "perfkit document pages, version 1"

_SHORTER_THAN_A_TILE = 20
_MARGIN, _LINE, _LETTERS = 40, 22, "etaoinshrdlucmfwypvbgkjqxz"
_INK, _PAPER, _RULE = (20, 20, 28), (252, 251, 247), (120, 120, 130)


def page_size(mode: Mode, tiles: Grid | None) -> tuple[int, int]:
    """Return width and height of a page, in pixels, that the model itself would cut into ``tiles``."""
    if tiles is None:
        side = BASE_SIZES[mode]
        return side * 3 // 4, side  # the shape of a sheet of paper
    side = TILE_SIZE - _SHORTER_THAN_A_TILE
    return tiles[0] * side, tiles[1] * side


def draw_page(index: int, size: tuple[int, int], seed: int) -> Any:
    """Return page ``index`` as a Pillow image in RGB.

    Args:
        size: Width and height in pixels.
        seed: The same seed, index and size give the same pixels.

    Raises:
        MissingError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise no_pillow(error) from None
    chance = Random(f"{seed}/{index}")  # noqa: S311 - reproducible, not secret
    image = Image.new("RGB", size, _PAPER)
    page = _Page(ImageDraw.Draw(image), size, chance)
    page.text(2)
    while page.has_room:
        page.block(index % len(KINDS))
    return image


def describe_page(index: int, image: Any, seed: int) -> Mapping[str, Any]:
    """Return what a run records of a drawn page."""
    return {
        "generator": GENERATOR,
        "kind": KINDS[index % len(KINDS)],
        "seed": seed,
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
    }


def no_pillow(error: ImportError) -> MissingError:
    """Return the error of pages that cannot be read or drawn."""
    return MissingError(f"pages need Pillow: {error}", fix="pip install 'perfkit-deepseek-ocr[torch]'")


class _Page:
    """A page that is filled from top to bottom."""

    def __init__(self, draw: Any, size: tuple[int, int], chance: Random) -> None:
        self._draw, self._chance = draw, chance
        self._left, self._right = _MARGIN, size[0] - _MARGIN
        self._row, self._bottom = _MARGIN, size[1] - _MARGIN

    @property
    def has_room(self) -> bool:
        """Whether another line fits."""
        return self._row + _LINE < self._bottom

    def block(self, kind: int) -> None:
        """Add the next paragraph, figure or table, as is usual for a page of this kind."""
        figures = (0.0, 0.4, 0.8)[kind]
        if self._chance.random() < figures:
            choices: tuple[Callable[[], None], ...] = (self._chart, self._picture, self._table)
            self._chance.choice(choices)()
        else:
            self.text(self._chance.randint(3, 9))
        self._row += _LINE

    def text(self, lines: int) -> None:
        """Add lines of made-up words; the last one is short."""
        for line in range(lines):
            if not self.has_room:
                return
            width = self._right - self._left
            end = self._left + (width if line < lines - 1 else width * self._chance.randint(2, 8) // 10)
            column = self._left
            while column < end:
                word = "".join(self._chance.choices(_LETTERS, k=self._chance.randint(2, 10)))
                length = int(self._draw.textlength(word))
                if column + length > end:
                    break
                self._draw.text((column, self._row), word, fill=_INK)
                column += length + 6
            self._row += _LINE

    def _box(self) -> tuple[int, int, int, int]:
        """Take the next stretch of the page for a figure."""
        height = min(self._chance.randint(6, 14) * _LINE, self._bottom - self._row)
        box = (self._left, self._row, self._right, self._row + height)
        self._row += height
        return box

    def _chart(self) -> None:
        left, top, right, bottom = self._box()
        self._draw.rectangle((left, top, right, bottom), outline=_RULE)
        bars = self._chance.randint(4, 12)
        step = (right - left) // bars
        for bar in range(bars):
            height = int((bottom - top) * self._chance.uniform(0.1, 0.95))
            corner = left + bar * step
            self._draw.rectangle((corner + 4, bottom - height, corner + step - 4, bottom), fill=self._colour())

    def _picture(self) -> None:
        left, top, right, bottom = self._box()
        self._draw.rectangle((left, top, right, bottom), fill=self._colour())
        for _ in range(self._chance.randint(8, 24)):
            centre = self._chance.randint(left, right), self._chance.randint(top, bottom)
            radius = self._chance.randint(4, max(5, (bottom - top) // 3))
            corners = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
            self._draw.ellipse(corners, fill=self._colour())

    def _table(self) -> None:
        left, top, right, bottom = self._box()
        columns = self._chance.randint(3, 6)
        for row in range(top, bottom, _LINE):
            self._draw.line((left, row, right, row), fill=_RULE)
            for column in range(columns):
                number = f"{self._chance.uniform(0, 1000):.2f}"
                self._draw.text((left + 6 + column * (right - left) // columns, row + 4), number, fill=_INK)

    def _colour(self) -> tuple[int, int, int]:
        return self._chance.randint(30, 225), self._chance.randint(30, 225), self._chance.randint(30, 225)
