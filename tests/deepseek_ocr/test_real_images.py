"""Pages from files: folders, lists, and images that cannot be read."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from perfkit_deepseek_ocr.estimate import estimate
from perfkit_deepseek_ocr.options import OcrWorkload
from PIL import Image

from perfkit_core.errors import MissingError, UsageError

from .real import SMALL, built, read, request


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


def test_images_that_do_not_go_together_are_usage_errors(tmp_path: Path) -> None:
    page(tmp_path / "in" / "a.png", (1300, 1300)), page(tmp_path / "in" / "b.png", (700, 1300))
    with pytest.raises(UsageError, match=r"2x2 tiles.*1x2 tiles"):
        estimate(request(), OcrWorkload(mode="gundam", images=str(tmp_path / "in")))
    assert estimate(request(), OcrWorkload(mode="base", images=str(tmp_path / "in"))).geometry["pages"] == 2
    with pytest.raises(UsageError, match="batches of 3"):
        estimate(request(), OcrWorkload(mode="base", batch_size=3, images=str(tmp_path / "in")))
