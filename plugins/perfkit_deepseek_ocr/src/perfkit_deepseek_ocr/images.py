"""Images from files: which ones are meant, whether they can be read, and how the model cuts them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.checkpoints import reason
from perfkit_core.errors import MissingError
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

    Transparency is dropped, as the model's own code does, and 16 bits a channel become 8.

    Raises:
        MissingError: It is missing, empty, damaged or too large to be decoded safely, or Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise no_pillow(error) from None
    try:
        with Image.open(path) as image:
            return _in_colour(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise MissingError(f"image {path} is missing", fix="correct images=") from None
    except Image.DecompressionBombError:
        raise MissingError(
            f"image {path} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels",
            fix="scale it down, or take it out",
        ) from None
    except Exception as error:  # noqa: BLE001 - Pillow raises many types for a damaged file, all mean the same here
        if path.is_file() and not path.stat().st_size:
            raise MissingError(f"image {path} is empty", fix="copy it again, or take it out") from None
        raise MissingError(
            f"image {path} cannot be read: {reason(error)}", fix="copy it again, or take it out"
        ) from None


def _in_colour(image: Any) -> Any:
    if image.mode.startswith("I"):  # 16 bits of grey, which converting would cut off at 255
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


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
