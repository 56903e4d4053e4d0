"""Batches of pages: what one kind of batch is, for every way that the pages of a run are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from perfkit_core.errors import UsageError
from perfkit_deepseek_ocr.geometry import Geometry, Grid, Mode, choose_grid, parse_grid
from perfkit_deepseek_ocr.images import PageImage, find_images
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload


def geometries_of(options: OcrModelOptions, workload: OcrWorkload) -> tuple[Geometry, ...]:
    """Derive views, tokens and calls: one geometry for every way that pages are cut, the shortest prompt first.

    Drawn pages are all cut alike, and rounded up to full batches. In mode gundam, images are cut as their
    shape wants, so that a run may have several geometries.

    Raises:
        MissingError: An image cannot be read.
        UsageError: The images do not fill batches, or those of one batch are cut differently.
    """
    found = [
        Geometry(
            batch=workload.batch_size,
            batches=batches,
            mode=workload.mode,
            tiles=tiles,
            text_tokens=workload.prompt_tokens,
            new_tokens=workload.max_new_tokens,
            all_positions=options.head_positions == "all",
            dtype=options.dtype,
        )
        for tiles, batches in _batches(workload).items()
    ]
    return tuple(sorted(found, key=lambda geometry: geometry.prompt))


def _batches(workload: OcrWorkload) -> Mapping[Grid | None, int]:
    """Return how many batches there are of every way to cut pages."""
    if workload.images:
        return Counter(batch_grids(find_images(workload.images), workload.batch_size, workload.mode))
    tiles = parse_grid(workload.grid) if workload.mode == "gundam" else None
    return {tiles: -(-workload.pages // workload.batch_size)}


def batch_grids(images: Sequence[PageImage], batch_size: int, mode: Mode) -> list[Grid | None]:
    """Return how the images of every batch are cut; a batch is ``batch_size`` images, one after the other.

    Raises:
        UsageError: They do not fill batches, or those of one batch are cut differently.
    """
    if len(images) % batch_size:
        raise UsageError(
            f"{len(images)} images do not fill batches of {batch_size}",
            fix="choose a batch_size that divides their number",
        )
    starts = range(0, len(images), batch_size)
    if mode != "gundam":
        return [None for _ in starts]
    return [_common_grid(images[start : start + batch_size]) for start in starts]


def _common_grid(images: Sequence[PageImage]) -> Grid | None:
    """Return how all ``images`` are cut; their prompts are one tensor, so they must be equally long."""
    first, grid = images[0], choose_grid(images[0].width, images[0].height)
    for image in images[1:]:
        other = choose_grid(image.width, image.height)
        if other != grid:
            raise UsageError(
                f"images of one batch must be cut alike: {first.path} into {tiles_name(grid)}, {image.path} into "
                f"{tiles_name(other)}",
                fix="batch_size=1, or a list with images of one shape after each other, or mode=base",
            )
    return grid


def tiles_name(grid: Grid | None) -> str:
    """Return how pages are cut, in words."""
    return f"{grid[0]}x{grid[1]} tiles" if grid else "no tiles"
