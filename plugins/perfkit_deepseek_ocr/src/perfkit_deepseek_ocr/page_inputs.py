"""What goes into reading pages: their images, the pixels of their views in batches, and the prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_deepseek_ocr.batches import batch_grids
from perfkit_deepseek_ocr.geometry import Geometry, Grid
from perfkit_deepseek_ocr.images import describe_image, find_images, open_image
from perfkit_deepseek_ocr.options import OcrWorkload
from perfkit_deepseek_ocr.pages import describe_page, draw_page, page_size
from perfkit_deepseek_ocr.pixels import global_view, tile_views

BEGIN = 0
"""Token that begins every sequence."""

FIRST_WORD = 2
"""Tokens below begin or end a sequence."""


@dataclass(frozen=True)
class Page:
    """One page of a run.

    Attributes:
        number: Its place, from 0.
        grid: How it is cut into tiles; None for no tiles.
        path: File it comes from; None for a drawn page.
        size: Size of a drawn page in pixels, width and height.
        seed: Seed of a drawn page.
    """

    number: int
    grid: Grid | None
    path: Path | None
    size: tuple[int, int]
    seed: int

    def image(self) -> Any:
        """Read or draw the page: a Pillow image in RGB.

        Raises:
            MissingError: It cannot be read, or Pillow is not installed.
        """
        return draw_page(self.number, self.size, self.seed) if self.path is None else open_image(self.path)

    def describe(self, image: Any) -> Mapping[str, Any]:
        """Return what a run records of the page."""
        about = describe_image(self.path, image) if self.path else describe_page(self.number, image, self.seed)
        return {"name": f"page {self.number}", **about, "tiles": f"{self.grid[0]}x{self.grid[1]}" if self.grid else ""}


def pages_of(workload: OcrWorkload, geometries: Sequence[Geometry], seed: int) -> list[Page]:
    """Return all pages in the order they are read.

    Raises:
        MissingError: An image cannot be read.
        UsageError: The images do not go together.
    """
    batch = workload.batch_size
    if workload.images:
        images = find_images(workload.images)
        grids = batch_grids(images, batch, workload.mode)
        return [
            Page(number, grids[number // batch], image.path, (image.width, image.height), seed)
            for number, image in enumerate(images)
        ]
    (geometry,) = geometries  # drawn pages are cut alike
    size = page_size(geometry.mode, geometry.tiles)
    return [Page(number, geometry.tiles, None, size, seed) for number in range(geometry.pages)]


def batched(pages: Sequence[tuple[Page, Any]], geometries: Sequence[Geometry]) -> Iterator[tuple[Geometry, list[Any]]]:
    """Yield every batch: its geometry, and one tensor of pixels for every view size, as the encoders get them."""
    import torch

    of_grid = {geometry.tiles: geometry for geometry in geometries}
    start = 0
    while start < len(pages):
        geometry = of_grid[pages[start][0].grid]
        images = [image for _, image in pages[start : start + geometry.batch]]
        views = [torch.stack([global_view(image, geometry.mode) for image in images])]
        if geometry.tiles:
            views.append(torch.stack([tile for image in images for tile in tile_views(image, geometry.tiles)]))
        yield geometry, views
        start += geometry.batch


def prompt_of(geometry: Geometry, vocabulary: int, image_token: int, seed: int) -> Any:
    """Return the tokens of every sequence: its beginning, the image's placeholders, the instruction."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    size = (geometry.batch, geometry.text_tokens - 1)
    words = torch.randint(FIRST_WORD, vocabulary - 1, size, generator=generator)
    words += words >= image_token  # every other token is as likely
    begin = torch.full((geometry.batch, 1), BEGIN)
    return torch.cat([begin, torch.full((geometry.batch, geometry.image_tokens), image_token), words], dim=1)
