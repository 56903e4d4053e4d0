"""Pages from files: folders, lists, and images that cannot be read."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from perfkit_deepseek_ocr.estimate import estimate
from perfkit_deepseek_ocr.geometry import BASE_SIZES, choose_grid
from perfkit_deepseek_ocr.images import open_image
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.pixels import global_view, tile_views
from perfkit_deepseek_ocr.plugin import perfkit_analytic_models
from PIL import Image

from perfkit_core.errors import MissingError, UsageError
from perfkit_core.specs import ModelRequest
from perfkit_core.verification.run import verify_model

from .real import LOAD, SMALL, built, read, request


def page(path: Path, size: tuple[int, int] = (300, 200), colour: str = "white") -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def perfkit(images: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "run", "--model", "deepseek_ocr"]
    command += ["--variant", "tiny", "--backend", "wall_clock", "--device", "cpu", "--repeats", "1", "--warmup", "0"]
    command += ["--set", "mode=tiny", "--set", "max_new_tokens=3", "--set", f"images={images}", "--out", str(out)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_folder_is_read_and_recorded(tmp_path: Path) -> None:
    first, second = page(tmp_path / "in" / "b.png"), page(tmp_path / "in" / "a.JPG", (100, 400), "navy")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    done = perfkit(tmp_path / "in", tmp_path / "R")
    assert done.returncode == 0, done.stderr
    inputs = (tmp_path / "R" / "inputs.yaml").read_text()
    for path in (first, second):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in inputs
        assert str(path) in inputs
    assert inputs.index("a.JPG") < inputs.index("b.png")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"", "is empty"),
        ("a.jpg", b"no picture at all", "cannot be read"),
        ("a.txt", b"", "no png or jpg"),
    ],
)
def test_images_that_cannot_be_read_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    done = perfkit(tmp_path / "in", tmp_path / "R")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert str(tmp_path / "in") in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "R").exists()


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    path = page(tmp_path / "in" / "a.png", (600, 600), "red")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(MissingError, match=r"a\.png cannot be read"):
        estimate(request(), OcrWorkload(images=str(tmp_path / "in")))


def test_a_list_has_its_own_order_and_place(tmp_path: Path) -> None:
    page(tmp_path / "in" / "a.png"), page(tmp_path / "in" / "b.png", colour="black")
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("in/b.png\n\nin/a.png\n")
    workload = built({**SMALL, "images": str(chosen)})
    assert [Path(entry["path"]).name for entry in workload.inputs() if "path" in entry] == ["b.png", "a.png"]
    assert workload.units() == {"pages": 2, "tokens": 12}
    tokens, _ = read(workload)
    assert tokens.shape == (2, 6)
    chosen.write_text("in/c.png\n")
    with pytest.raises(MissingError, match=r"c\.png is missing"):
        built({**SMALL, "images": str(chosen)})
    for place in (tmp_path / "nothing", tmp_path / "in" / "nothing.png"):
        with pytest.raises(MissingError, match="nothing"):
            built({**SMALL, "images": str(place)})


@pytest.mark.parametrize(("size", "tiles"), [((640, 640), 0), ((1300, 1300), 4), ((700, 1300), 2)])
def test_an_image_is_cut_as_its_shape_wants(tmp_path: Path, size: tuple[int, int], tiles: int) -> None:
    shape = {"mode": "gundam", "grid": "3x3", "max_new_tokens": 2, "images": str(page(tmp_path / "a.png", size))}
    assert estimate(request(), OcrWorkload(**shape)).geometry["tiles"] == tiles
    workload = built(shape)
    _, calls = read(workload)
    rows = dict(estimate(request(), OcrWorkload(**shape)).rows())
    assert calls.paths["prefill/vision/sam"] == rows["prefill/vision/sam"].calls == (2 if tiles else 1)


def mixed(folder: Path) -> dict[str, object]:
    """Four images that are cut in three ways, the second way twice."""
    sizes = [(1300, 1300), (700, 1300), (300, 200), (650, 1200)]
    for number, size in enumerate(sizes):
        page(folder / f"{number}.png", size, ("red", "white", "navy", "grey")[number])
    return {"mode": "gundam", "max_new_tokens": 3, "images": str(folder)}


def test_a_run_reads_pages_that_are_cut_differently(tmp_path: Path) -> None:
    """Costs are the sums of those of every page read alone, and so are the calls; the answers are the same."""
    shape = mixed(tmp_path / "in")
    tree = estimate(request(), OcrWorkload(**shape))
    alone = [
        estimate(request(), OcrWorkload(**{**shape, "images": str(tmp_path / "in" / f"{n}.png")})) for n in range(4)
    ]
    for field in ("flops", "elementwise_flops", "bytes_read", "bytes_written"):
        assert getattr(tree.total(), field) == sum(getattr(one.total(), field) for one in alone)
    assert tree.total().parameters == alone[0].total().parameters
    assert tree.geometry["pages"] == 4
    assert tree.geometry["tiles_of_all_pages"] == 4 + 2 + 0 + 2
    parts = [one.geometry["prompt_tokens"] for one in alone]
    assert tree.geometry["prompt_tokens_of_all_pages"] == sum(parts)
    assert tree.memory.kv_cache_bytes == max(one.memory.kv_cache_bytes for one in alone)
    assert any("2 into 1x2 tiles" in note and "1 into no tiles" in note for note in tree.notes)
    components = LOAD(request())
    workload = built(shape, components=components)
    tokens, calls = read(workload, depth=9)
    rows = dict(tree.rows())
    assert calls.paths == {path: row.calls for path, row in rows.items() if row.calls}
    assert [entry["tiles"] for entry in workload.inputs() if "path" in entry] == ["2x2", "1x2", "", "1x2"]
    for number in range(4):
        one = {**shape, "images": str(tmp_path / "in" / f"{number}.png")}
        assert read(built(one, components=components))[0].tolist() == tokens[number : number + 1].tolist()


@pytest.mark.parametrize("variant", ["tiny", "default"])
def test_costs_of_pages_cut_differently_are_verified(tmp_path: Path, variant: str) -> None:
    values = {**mixed(tmp_path / "in"), "max_new_tokens": 12}
    report = verify_model(
        perfkit_analytic_models()[0],
        ModelRequest(variant=variant, options=OcrModelOptions()),
        OcrWorkload(**values),
        workload_name="test",
        tolerance=0.05,
        progress=lambda line: None,
    )
    assert [layer.path for layer in report.layers if layer.verdict != "equal"] == []
    assert (report.mismatched, report.max_relative_difference, report.max_bytes_difference) == (0, 0.0, 0.0)


def test_images_that_do_not_go_together_are_usage_errors(tmp_path: Path) -> None:
    page(tmp_path / "in" / "a.png", (1300, 1300)), page(tmp_path / "in" / "b.png", (700, 1300))
    with pytest.raises(UsageError, match=r"a\.png into 2x2 tiles, .*b\.png into 1x2 tiles") as raised:
        estimate(request(), OcrWorkload(mode="gundam", batch_size=2, images=str(tmp_path / "in")))
    assert "batch_size=1" in raised.value.fix
    page(tmp_path / "in" / "aa.png", (1200, 1200)), page(tmp_path / "in" / "c.png", (700, 1300))
    tree = estimate(request(), OcrWorkload(mode="gundam", batch_size=2, images=str(tmp_path / "in")))
    assert (tree.geometry["pages"], dict(tree.rows())["prefill"].calls) == (4, 2)
    assert estimate(request(), OcrWorkload(mode="base", images=str(tmp_path / "in"))).geometry["pages"] == 4
    with pytest.raises(UsageError, match="batches of 3"):
        estimate(request(), OcrWorkload(mode="base", batch_size=3, images=str(tmp_path / "in")))


def of_mode(mode: str, size: tuple[int, int] = (30, 20)) -> Image.Image:
    image = Image.new(mode, size)
    if mode == "P":
        image.info["transparency"] = bytes([0, 128])
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.filterwarnings("error")
def test_images_of_every_kind_of_pixel_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    of_mode(mode).save(path)
    image = open_image(path)
    assert (image.mode, image.size) == ("RGB", (30, 20))


def test_sixteen_bits_of_grey_become_eight(tmp_path: Path) -> None:
    grey = Image.new("I;16", (2, 1))
    grey.putpixel((0, 0), 65535), grey.putpixel((1, 0), 257 * 100)
    grey.save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (100,) * 3]


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (1300, 700)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").size == (700, 1300)
    assert estimate(request(), OcrWorkload(images=str(tmp_path / "a.jpg"))).geometry["tiles"] == 2


@pytest.mark.parametrize("mode", ["tiny", "base", "gundam"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (640, 1)])
def test_images_of_every_shape_are_read(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    path = page(tmp_path / "a.png", size)
    shape = {"mode": mode, "images": str(path), "max_new_tokens": 1}
    tree = estimate(request(), OcrWorkload(**shape))
    assert tree.geometry["tiles"] == (9 if mode == "gundam" and max(size) > 640 else 0)
    image, grid = open_image(path), choose_grid(*size)
    assert global_view(image, mode).shape == (3, BASE_SIZES[mode], BASE_SIZES[mode])
    assert grid is None or len(tile_views(image, grid)) == 9


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_cut_short_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((64, 64), 50).save(path)
    content = path.read_bytes()
    for length in range(1, len(content) - len(content) // 4, 97):
        path.write_bytes(content[:length])
        with pytest.raises(MissingError, match="cannot be read"):
            open_image(path)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    with pytest.raises(MissingError, match=r"a\.png has more than \d+ pixels") as raised:
        estimate(request(), OcrWorkload(images=str(path)))
    assert raised.value.exit_code == 3
