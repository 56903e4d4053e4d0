"""Image modes, tile grids and token counts: what one page becomes before it reaches the networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["tiny", "small", "base", "large", "gundam"]
MODES: tuple[Mode, ...] = get_args(Mode)

PATCH = 16
DOWNSAMPLING = 4
"""Pixels per patch, and patches per feature, along one axis."""

BASE_SIZES: dict[Mode, int] = {"tiny": 512, "small": 640, "base": 1024, "large": 1280, "gundam": 1024}
"""Side of the global view, in pixels."""

TILE_SIZE = 640
"""Side of one tile in mode gundam, in pixels; an image no larger than this has no tiles."""

FEWEST_TILES, MOST_TILES = 2, 9

Grid = tuple[int, int]
"""Columns and rows of tiles."""

_GRID = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")


@dataclass(frozen=True)
class View:
    """Images of one size that go through the vision encoders in one call.

    Attributes:
        images: How many.
        size: Side of each, in pixels.
    """

    images: int
    size: int

    @property
    def side(self) -> int:
        """Patches along one axis."""
        return self.size // PATCH

    @property
    def patches(self) -> int:
        """Patches of all images."""
        return self.images * self.side**2

    @property
    def queries(self) -> int:
        """Features along one axis, ``q``."""
        return features_per_axis(self.size)

    @property
    def features(self) -> int:
        """Features of all images, which become vision tokens."""
        return self.images * self.queries**2


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Everything the cost formulas need to know about batches of pages that are cut alike.

    Attributes:
        batch: Pages processed at once.
        batches: How often that happens.
        mode: Image mode.
        tiles: Grid of tiles of each page; None when the page has a global view alone.
        text_tokens: Tokens of the prompt's text.
        new_tokens: Tokens generated per page; the first comes from prefill.
        all_positions: Whether prefill runs the output head on every position instead of the last.
        dtype: Element type of the model.
    """

    batch: int
    batches: int
    mode: Mode
    tiles: Grid | None
    text_tokens: int
    new_tokens: int
    all_positions: bool
    dtype: str

    @property
    def pages(self) -> int:
        """Pages of all batches."""
        return self.batch * self.batches

    @property
    def tile_count(self) -> int:
        """Tiles of one page."""
        return self.tiles[0] * self.tiles[1] if self.tiles else 0

    @property
    def views(self) -> tuple[View, ...]:
        """Views in the order the model encodes them: all global views of a batch, then all of its tiles."""
        base = View(self.batch, BASE_SIZES[self.mode])
        if self.tiles is None:
            return (base,)
        return base, View(self.batch * self.tile_count, TILE_SIZE)

    @property
    def vision_tokens(self) -> int:
        """Image features of one page."""
        return vision_tokens(self.mode, self.tiles)

    @property
    def image_tokens(self) -> int:
        """Prompt tokens of one page's image: features and separators."""
        return image_tokens(self.mode, self.tiles)

    @property
    def prompt(self) -> int:
        """Tokens of one page's whole prompt."""
        return self.image_tokens + self.text_tokens

    @property
    def decode_steps(self) -> int:
        """Forward passes per page after prefill: one per generated token but the first."""
        return self.new_tokens - 1

    @property
    def first_context(self) -> int:
        """Keys that the first decode step attends to, its own included."""
        return self.prompt + 1

    @property
    def last_context(self) -> int:
        """Keys that the last decode step attends to; the last generated token is never fed back."""
        return self.prompt + self.decode_steps


def features_per_axis(size: int) -> int:
    """Return ``ceil((size // 16) / 4)`` for an image of ``size`` pixels a side."""
    return -(-(size // PATCH) // DOWNSAMPLING)


def vision_tokens(mode: Mode, tiles: Grid | None) -> int:
    """Return the features of one page: ``q**2`` for every view."""
    count = tiles[0] * tiles[1] if tiles else 0
    return features_per_axis(BASE_SIZES[mode]) ** 2 + count * features_per_axis(TILE_SIZE) ** 2


def image_tokens(mode: Mode, tiles: Grid | None) -> int:
    """Return the prompt tokens of one page's image.

    Each row of the global view, and each row across a grid of tiles, ends with a separator; one more
    separates the views.
    """
    side = features_per_axis(BASE_SIZES[mode])
    tokens = side * (side + 1) + 1
    if tiles:
        tile = features_per_axis(TILE_SIZE)
        tokens += (tile * tiles[0] + 1) * tile * tiles[1]
    return tokens


def parse_grid(text: str) -> Grid:
    """Return columns and rows of ``text`` such as ``2x3``.

    Raises:
        ValueError: It is no such text, or not 2 to 9 tiles; the message says what to write instead.
    """
    found = _GRID.fullmatch(text.strip().lower())
    if not found:
        raise ValueError("must be columns x rows of tiles: write it like 2x3")
    columns, rows = int(found[1]), int(found[2])
    tiles = columns * rows
    if tiles < FEWEST_TILES:
        raise ValueError("one tile is no grid: use mode=base for a global view alone, or at least 2 tiles, like 1x2")
    if tiles > MOST_TILES:
        raise ValueError(f"has {tiles} tiles and the model takes at most {MOST_TILES}: use 3x3 or fewer")
    return columns, rows


def tile_grids() -> tuple[Grid, ...]:
    """Return every grid of 2 to 9 tiles, fewest tiles first, then fewest columns."""
    grids = [(w, h) for w in range(1, MOST_TILES + 1) for h in range(1, MOST_TILES // w + 1) if w * h >= FEWEST_TILES]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))


def choose_grid(width: int, height: int) -> Grid | None:
    """Return the grid of tiles for an image, or None when both sides fit into one tile.

    The grid nearest in aspect ratio wins. On a tie the one with more tiles does, as long as the image's area
    exceeds half of that grid's.

    Raises:
        ValueError: A side is not positive.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width}x{height} pixels has no grid")
    if width <= TILE_SIZE and height <= TILE_SIZE:
        return None
    best: Grid | None = None
    nearest = float("inf")
    for columns, rows in tile_grids():
        distance = abs(width / height - columns / rows)
        fills = 2 * width * height > TILE_SIZE**2 * columns * rows
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (columns, rows), distance
    return best
