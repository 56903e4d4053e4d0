"""From a page's image to the pixels of its views: scaling, padding, cutting into tiles, normalising."""

from __future__ import annotations

from typing import Any

from perfkit_deepseek_ocr.geometry import BASE_SIZES, TILE_SIZE, Grid, Mode

STRETCHED_UP_TO = 640
"""Global views up to this side are stretched to a square, larger ones keep their shape and are padded."""

_GREY = (127, 127, 127)


def global_view(image: Any, mode: Mode) -> Any:
    """Return the whole page, a Pillow image, as the square that ``mode`` wants; 3 x side x side, -1 to 1."""
    from PIL import Image, ImageOps

    side = BASE_SIZES[mode]
    if side <= STRETCHED_UP_TO:
        return _normalised(image.resize((side, side), Image.Resampling.BICUBIC))
    return _normalised(ImageOps.pad(image, (side, side), method=Image.Resampling.BICUBIC, color=_GREY))


def tile_views(image: Any, tiles: Grid) -> list[Any]:
    """Return the tiles of a page, row by row; each is 3 x 640 x 640, -1 to 1."""
    from PIL import Image

    columns, rows = tiles
    stretched = image.resize((columns * TILE_SIZE, rows * TILE_SIZE), Image.Resampling.BICUBIC)
    corners = [(column * TILE_SIZE, row * TILE_SIZE) for row in range(rows) for column in range(columns)]
    return [_normalised(stretched.crop((x, y, x + TILE_SIZE, y + TILE_SIZE))) for x, y in corners]


def _normalised(image: Any) -> Any:
    """Return the pixels as float32, channels first, with mean and deviation one half."""
    import torch

    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(image.height, image.width, 3).permute(2, 0, 1).float().div(127.5).sub(1.0)
