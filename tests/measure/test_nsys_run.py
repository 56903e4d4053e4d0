"""Real runs under a real nsys, on a machine without a GPU: what was marked is what was recorded."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, read

NSYS = shutil.which("nsys")
if NSYS is None and os.environ.get("REQUIRE_NSYS"):
    raise RuntimeError("nsys is required here and not installed: .ci/install-nsys")
pytestmark = pytest.mark.skipif(NSYS is None, reason="nsys is not installed: .ci/install-nsys")

RUN = ("run", "--model", "lab", "--backend", "nsys", "--device", "cpu", "--out", "R")


@pytest.fixture(scope="module")
def recorded(perfkit: Callable[..., Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worker with two more threads and a spawned child, all of which mark what they do."""
    work = tmp_path_factory.mktemp("nsys")
    made = perfkit(*RUN, "--set", "threads=true", "--set", "child=true", cwd=work)
    assert made.code == 0, made.err
    return work / "R"


def test_ranges_recorded_are_ranges_emitted(recorded: Path) -> None:
    emitted = read(recorded / "passes/01-nsys/nvtx.json")["ranges"]
    assert emitted == {
        "outer": 1, "outer/step": 3, "outer/step/body": 3, "left": 1, "left/inner": 1, "right": 1, "right/inner": 1,
    }  # fmt: skip
    rows = read(recorded / "regions.json")["regions"]
    every = [row for row in rows if row["process"] is None]
    assert {row["path"]: row["instances"] for row in every if row["domain"] == "perfkit"} == emitted
    child = {row["path"]: row["instances"] for row in every if row["domain"] == "child"}
    assert child == {"work": 2, "work/part": 6}  # it marks its work in the run of warm-up too
    processes = {row["domain"]: row["process"] for row in rows if row["process"] is not None}
    assert processes["child"] != processes["perfkit"]
    outer, step = ({row["path"]: row["host_time"] for row in every}[path] for path in ("outer", "outer/step"))
    assert outer > step > 3 * 5_000_000  # the loop sleeps 5 ms in each step


def test_the_run_says_what_recorded_it_and_how(recorded: Path) -> None:
    index = read(recorded / "run.json")
    assert read(recorded / "regions.json")["profiler"].startswith("Nsight Systems ")
    assert index["file_passes"]["regions.json"] == "passes/01-nsys"
    notes = index["passes"][1]["notes"]
    assert [" ".join(note.split()[:3]) for note in notes] == [
        "capture.sqlite is the",
        "Recorded by nsys",
        "One run was",
        "The run was",
    ]
    for page in ("regions.md", "report.md"):
        text = (recorded / page).read_text().replace("\\|", "|")
        assert [note for note in notes if f"- {note}\n" not in text] == [], page
        assert "passes/01-nsys" in text
    command = (recorded / "passes/01-nsys/command.txt").read_text()
    assert " profile --trace=nvtx " in command
    assert "| `outer/step` | 3 |" in (recorded / "regions.md").read_text()


def test_importing_the_capture_that_a_run_kept_gives_its_regions_byte_for_byte(
    recorded: Path, perfkit: Callable[..., Outcome], tmp_path: Path
) -> None:
    made = perfkit("import", str(recorded / "passes/01-nsys/capture.sqlite"), "--out", "I", cwd=tmp_path)
    assert made.code == 0, made.err
    assert (tmp_path / "I/regions.json").read_bytes() == (recorded / "regions.json").read_bytes()


def test_a_token_in_the_environment_is_in_no_artifact(
    perfkit: Callable[..., Outcome], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is that of the driver itself: nsys, as root, stores the environments of other processes too."""
    token = "tok3n-0f-the-user-9137"
    for name in ("HF_TOKEN", "PLAIN_NAME", "CUDA_SECRET"):
        monkeypatch.setitem(environment, name, token)
    made = perfkit(*RUN, cwd=tmp_path)
    assert made.code == 0, made.err
    kept = [path for path in (tmp_path / "R").rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in kept)
    assert [path.name for path in kept if token.encode() in path.read_bytes()] == []


PROGRAM = """
from perfkit_core import region
for _ in range(3):
    with region("a"):
        with region("b"):
            pass
"""


def test_a_program_marks_its_own_regions(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    made = perfkit("exec", "--backend", "nsys", "--out", "R", "--", sys.executable, "program.py", cwd=tmp_path)
    assert made.code == 0, made.err
    rows = read(tmp_path / "R/regions.json")["regions"]
    assert {row["path"]: row["instances"] for row in rows if row["process"] is None} == {"a": 3, "a/b": 3}
    made = perfkit("import", "R/passes/00-nsys/capture.sqlite", "--out", "I", cwd=tmp_path)
    assert made.code == 0, made.err
    assert (tmp_path / "I/regions.json").read_bytes() == (tmp_path / "R/regions.json").read_bytes()
    notes = read(tmp_path / "R/run.json")["passes"][0]["notes"]
    note = next(note for note in notes if note.startswith("Recorded by nsys "))
    assert f"- {note}\n" in (tmp_path / "R/report.md").read_text()


@pytest.mark.parametrize("command", ["run", "exec"])
def test_ranges_that_this_nsys_does_not_see_are_no_success(
    perfkit: Callable[..., Outcome], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:  # fmt: skip
    """Newer nvtx packages mark ranges in a way that nsys of 2022 ignores, without an error of either."""
    version = subprocess.run([str(NSYS), "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.search(r"version (\d+)", version)[1]) >= 2024:
        pytest.skip(f"this nsys sees them: {version.strip()}")
    site = tmp_path / "newer"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), "nvtx==0.2.17"]
    subprocess.run(pip, check=True, capture_output=True)
    monkeypatch.setitem(environment, "PYTHONPATH", f"{site}{os.pathsep}{environment['PYTHONPATH']}")
    (tmp_path / "program.py").write_text(PROGRAM)
    words = RUN if command == "run" else ("exec", "--backend", "nsys", "--out", "R", "--", sys.executable, "program.py")
    made = perfkit(*words, cwd=tmp_path)
    assert made.code == 4
    assert re.search(r"recorded none of the \d+ ranges that were emitted", made.err)
    assert "pip install 'nvtx<=0.2.11'" in made.err


def test_a_worker_that_dies_is_told_and_nothing_is_left_running(
    perfkit: Callable[..., Outcome], tmp_path: Path
) -> None:
    made = perfkit(*RUN, "--set", "fault=error", "--set", "at=1", cwd=tmp_path)
    assert made.code == 4
    assert "the widget fell off" in made.err
    index = read(tmp_path / "R/run.json")
    assert [(one["backend"], one["status"]) for one in index["passes"]] == [("analytic", "done"), ("nsys", "failed")]


def test_a_run_that_takes_too_long_is_ended_with_nsys(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    made = perfkit(*RUN, "--set", "fault=hang", "--set", "at=0", "--max-minutes", "0.25", cwd=tmp_path)
    assert made.code == 4
    assert "was ended after 15 s" in made.err
    session = next(
        word for word in (tmp_path / "R/passes/01-nsys/command.txt").read_text().split() if "session" in word
    )
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if session.encode() in _text(path)]
    assert alive == []


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


STUBBORN = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("begun", flush=True)
else:
    subprocess.Popen([sys.executable, __file__, "again"])
time.sleep(300)
"""


@pytest.mark.parametrize("end", ["the time limit", "Ctrl-C"])
def test_no_process_of_the_session_is_left_whatever_the_program_started(
    environment: dict[str, str], tmp_path: Path, end: str
) -> None:
    """nsys's agent waits for descendants that left the process group and ignore signals."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    other = {**os.environ, "PERFKIT_NSYS_SESSION": "perfkit1nsys"}
    bystander = subprocess.Popen(["sleep", "300"], env=other)  # of another session, and started by no process of this
    limit = ("--max-minutes", "0.15") if end == "the time limit" else ()
    words = ["exec", "--backend", "nsys", *limit, "--out", "R", "--", sys.executable, "stubborn.py"]
    command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *words]
    try:
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "begun" in line:
                    break
            assert _marked(tmp_path)
            if end == "Ctrl-C":
                process.send_signal(signal.SIGINT)
            assert process.wait(90) == (130 if end == "Ctrl-C" else 4)
        assert _marked(tmp_path) == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _marked(work: Path) -> list[str]:
    """Return the command lines of the processes that run in a directory, and of nsys's agent for a run there."""
    session = next(word for word in (work / "R/passes/00-nsys/command.txt").read_text().split() if "--session" in word)
    name = session.partition("=")[2].encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            there = (folder / "cwd").resolve() == work.resolve()
        except OSError:
            there = False
        words = _text(folder / "cmdline")
        if words and ((there and b"perfkit_core.cli" not in words) or name in words):
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found
