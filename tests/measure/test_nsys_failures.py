"""A real nsys that exits with 0, or a program that dies: what was not recorded is no success, and what was is kept."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, read

NSYS = shutil.which("nsys")
if NSYS is None and os.environ.get("REQUIRE_NSYS"):
    raise RuntimeError("nsys is required here and not installed: .ci/install-nsys")
pytestmark = pytest.mark.skipif(NSYS is None, reason="nsys is not installed: .ci/install-nsys")

TWO = "from perfkit_core import region\nfor name in 'ab':\n    with region(name):\n        pass\n"


@pytest.fixture
def execute(perfkit: Callable[..., Outcome], tmp_path: Path) -> Callable[[str], Outcome]:
    def run(program: str) -> Outcome:
        (tmp_path / "program.py").write_text(program)
        words = ("exec", "--backend", "nsys", "--out", "R", "--", sys.executable, "program.py")
        return perfkit(*words, cwd=tmp_path)

    return run


def test_no_report_is_no_success(execute: Callable[[str], Outcome], tmp_path: Path) -> None:
    """Where nsys was told to write there is a directory when it would."""
    made = execute("import os\nos.makedirs(os.environ['PERFKIT_NVTX'] + '/.scratch/capture.nsys-rep/in the way')")
    assert made.code == 4
    assert "wrote no report: nothing was recorded" in made.err
    assert "fix: " in made.err
    index = read(tmp_path / "R/run.json")
    assert (index["status"], index["exit_code"], index["passes"][0]["status"]) == ("failed", 4, "failed")
    assert not (tmp_path / "R/regions.json").exists()


@pytest.fixture
def nsys_tree(tmp_path: Path) -> Path:
    """A copy of the installed nsys without what makes reports: it records and leaves raw data alone."""
    installed = Path(str(NSYS)).resolve()
    target = installed.parent if installed.parent.name == "target-linux-x64" else _target(installed)
    tree = tmp_path / "copied" / "target-linux-x64"
    tree.mkdir(parents=True)
    for path in target.iterdir():
        if path.name == "nsys":
            shutil.copy(path, tree / "nsys")
        else:
            (tree / path.name).symlink_to(path.resolve())
    return tree


def _target(installed: Path) -> Path:
    places = [*Path("/usr/lib").glob("*/nsight-systems/target-linux-x64"), installed.parents[1] / "target-linux-x64"]
    found = next((path for path in places if (path / "nsys").is_file()), None)
    if found is None:
        pytest.skip("this installation of nsys has another layout")
    return found


def test_a_missing_importer_is_told_before_anything_runs(
    execute: Callable[[str], Outcome], nsys_tree: Path, environment: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(environment, "PERFKIT_NSYS", str(nsys_tree / "nsys"))
    made = execute(TWO)
    assert made.code == 3
    assert "importer" in made.err
    assert str(nsys_tree.parent / "host-linux-x64") in made.err
    assert "fix: perfkit doctor" in made.err
    assert not (tmp_path / "R").exists()


def test_raw_data_without_a_report_is_no_success_and_stays(
    execute: Callable[[str], Outcome], nsys_tree: Path, environment: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The importer is gone when it is needed; nsys exits with 0."""
    importer = nsys_tree.parent / "host-linux-x64" / "QdstrmImporter"
    importer.parent.mkdir()
    shutil.copy(shutil.which("true") or "/bin/true", importer)
    monkeypatch.setitem(environment, "PERFKIT_NSYS", str(nsys_tree / "nsys"))
    made = execute(f"{TWO}import os\nos.unlink({str(importer)!r})\n")
    assert made.code == 3
    assert "only capture.qdstrm was written, no report: " in made.err
    assert f"it looks for its importer in {importer.parent}" in made.err or "it has no importer" in made.err
    (done,) = read(tmp_path / "R/run.json")["passes"]
    assert "or name another with PERFKIT_NSYS" in done["error"]
    assert any("capture.qdstrm is nsys's own file" in note for note in done["notes"])
    assert (tmp_path / "R/passes/00-nsys/capture.qdstrm").stat().st_size > 0
    assert "passes/00-nsys/capture.qdstrm" in read(tmp_path / "R/run.json")["files"]


@pytest.mark.parametrize(
    ("case", "said", "fix"),
    [
        ("absent", "absent is no file", "unset PERFKIT_NSYS or name the nsys executable"),
        ("old", "is older than 2022.4: install a newer one", "perfkit doctor"),
        ("nowhere", "install Nsight Systems (Debian: non-free, with contrib) or name it with", "perfkit doctor"),
    ],
)
def test_a_tool_that_is_missing_or_too_old_is_told_before_anything_runs(
    execute: Callable[[str], Outcome], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    case: str, said: str, fix: str,
) -> None:  # fmt: skip
    if case == "nowhere":
        monkeypatch.setitem(environment, "PATH", str(Path(sys.executable).parent))
    else:
        monkeypatch.setitem(environment, "PERFKIT_NSYS", str(tmp_path / case))
    if case == "old":
        (tmp_path / case).write_text("#!/bin/sh\necho NVIDIA Nsight Systems version 2021.1.3.14-b695ea9\n")
        (tmp_path / case).chmod(0o755)
    made = execute(TWO)
    assert made.code == 3
    assert said in made.err
    assert f"fix: {fix}" in made.err
    assert not (tmp_path / "R").exists()


def test_what_a_crashed_program_marked_is_kept(execute: Callable[[str], Outcome], tmp_path: Path) -> None:
    crash = "import os, signal, time\ntime.sleep(1)\nos.kill(os.getpid(), signal.SIGSEGV)\n"  # nsys writes now and then
    made = execute(f"{TWO}{crash}")
    assert made.code == 4
    assert "ended with signal SIGSEGV" in made.err
    assert "fix: what was recorded is kept in R" in made.err
    index = read(tmp_path / "R/run.json")
    assert (index["status"], index["exit_code"]) == ("partial", 4)
    paths = {row["path"] for row in read(tmp_path / "R/regions.json")["regions"]}
    assert "a" in paths  # nsys may lose the range that was closed last
    assert paths <= {"a", "b"}
    assert (tmp_path / "R/passes/00-nsys/capture.sqlite").is_file()
