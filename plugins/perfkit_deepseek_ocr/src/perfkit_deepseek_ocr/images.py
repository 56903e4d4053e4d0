"""Images from files: which ones are meant, whether they can be read, and how the model cuts them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError, UsageError
from perfkit_deepseek_ocr.geometry import Grid, choose_grid
from perfkit_deepseek_ocr.pages import no_pillow

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


@dataclass(frozen=True)
class PageImage:
    """One image that can be read.

    Attributes:
        path: Its file.
        width: Columns in pixels, as it is looked at.
        height: Rows in pixels.
    """

    path: Path
    width: int
    height: int


def find_images(place: str) -> tuple[PageImage, ...]:
    """Read every image of a folder, in the order of their names, or of a list, in its order.

    Args:
        place: Folder with png and jpg files, or a text file with one path a line, relative to its own folder.

    Raises:
        MissingError: Nothing is there, or an image is missing, empty or damaged; or Pillow is not installed.
    """
    found = []
    for path in _paths(Path(place)):
        image = open_image(path)
        found.append(PageImage(path, image.width, image.height))
    return tuple(found)


def open_image(path: Path) -> Any:
    """Return an image as a Pillow image in RGB, turned the way its camera says.

    Raises:
        MissingError: It is missing, empty or damaged, or Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise no_pillow(error) from None
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError:
        raise MissingError(f"image {path} is missing", fix="correct images=") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if path.is_file() and not path.stat().st_size:
            raise MissingError(f"image {path} is empty", fix="copy it again, or take it out") from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingError(f"image {path} cannot be read: {reason}", fix="copy it again, or take it out") from None


def describe_image(path: Path, image: Any) -> Mapping[str, Any]:
    """Return what a run records of an image."""
    content = path.read_bytes()
    return {
        "path": str(path),
        "width": image.width,
        "height": image.height,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def common_grid(images: Sequence[PageImage]) -> Grid | None:
    """Return the grid of tiles that the model cuts every one of ``images`` into; None for no tiles.

    Raises:
        UsageError: They differ, so that their prompts would have different lengths.
    """
    first, grid = images[0], choose_grid(images[0].width, images[0].height)
    for image in images:
        other = choose_grid(image.width, image.height)
        if other != grid:
            raise UsageError(
                f"images of one run must be cut alike: {first.path} into {_named(grid)}, {image.path} into "
                f"{_named(other)}",
                fix="run them in two lists, or choose a mode without tiles, such as mode=base",
            )
    return grid


def _named(grid: Grid | None) -> str:
    return f"{grid[0]}x{grid[1]} tiles" if grid else "no tiles"


def _paths(place: Path) -> list[Path]:
    if place.is_dir():
        paths = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
        if not paths:
            raise MissingError(f"folder {place} holds no png or jpg image", fix="correct images=")
        return paths
    if place.suffix.lower() in SUFFIXES:
        return [place]
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise MissingError(f"images={place}: neither a folder nor a list is there", fix="correct images=") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError(
            f"images={place}: not a list of images: {error}", fix="give a folder, or a text file with one path a line"
        ) from None
    paths = [place.parent / line.strip() for line in lines if line.strip()]
    if not paths:
        raise MissingError(f"list {place} names no image", fix="write one path a line")
    return paths
