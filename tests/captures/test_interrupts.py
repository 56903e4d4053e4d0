"""Ctrl-C, once or several times, under a real nsys: the run says how it ended, and nothing private lies about."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NSYS = shutil.which("nsys")
if NSYS is None and os.environ.get("REQUIRE_NSYS"):
    raise RuntimeError("nsys is required here and not installed: .ci/install-nsys")
pytestmark = pytest.mark.skipif(NSYS is None, reason="nsys is not installed: .ci/install-nsys")

WORDS = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "exec", "--backend", "nsys"]
TOKEN = "tok3n-5150"
SLEEPER = """
import os, tempfile, time
from perfkit_core import region
with region("a"):
    with region("b"): pass
print("begun", os.environ.get("TMPDIR"), tempfile.gettempdir(), flush=True)
time.sleep(300)
"""


class Started:
    """``perfkit exec`` of a program that sleeps, in a process group of its own."""

    def __init__(self, work: Path, environ: dict[str, str], *options: str, tmpdir: bool = True) -> None:
        self.work, self.temporary = work, work / "t"
        self.temporary.mkdir()
        (work / "sleeper.py").write_text(SLEEPER)
        env = environ | {"MY_TOKEN": TOKEN} | ({"TMPDIR": str(self.temporary)} if tmpdir else {})
        words = [*WORDS, *options, "--out", "R", "--", sys.executable, "sleeper.py"]
        self.process = subprocess.Popen(
            words, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        begun = next((line for line in self.process.stdout if line.startswith("begun")), None)
        if begun is None:
            pytest.fail(f"the program was not started: {self.process.communicate()[1]}{self._tool_said()}")
        self.said = begun.split()[1:]

    def _tool_said(self) -> str:
        return "".join(path.read_text() for path in self.work.glob("R/passes/*/tool.txt"))

    def interrupt(self, times: int, apart: float, number: signal.Signals) -> int:
        for place in range(times):
            time.sleep(apart if place else 0)
            os.killpg(self.process.pid, number)
        self.errors = self.process.communicate(timeout=90)[1]
        return self.process.returncode

    def index(self) -> dict:
        return json.loads((self.work / "R/run.json").read_text())

    def holding(self, text: bytes) -> list[Path]:
        return [path for path in self.work.rglob("*") if path.is_file() and text in path.read_bytes()]

    def alive(self) -> list[str]:
        session = f"perfkit{self.process.pid}00nsys".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words, variables = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
            except OSError:  # it has ended meanwhile
                continue
            if session in words or session in variables:
                found.append(words.replace(b"\0", b" ").decode())
        return found


@pytest.mark.parametrize(
    ("times", "apart", "number"),
    [(1, 0, signal.SIGINT), (2, 0.3, signal.SIGINT), (3, 0.3, signal.SIGINT), (2, 1.3, signal.SIGINT),
     (8, 0.05, signal.SIGINT), (1, 0, signal.SIGTERM)],
)  # fmt: skip
def test_however_often_it_is_interrupted_the_run_is_closed_and_no_environment_left(
    times, apart, number, environ, tmp_path
):
    started = Started(tmp_path, environ)
    assert started.said == [str(started.temporary)] * 2
    for _ in range(30):  # nsys, as root, stores the environments of all processes, sooner or later
        if started.holding(TOKEN.encode()):
            break
        time.sleep(0.1)
    (scratch,) = (tmp_path / "R/passes").glob("*/.scratch")
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert started.interrupt(times, apart, number) == 130, started.errors
    assert "perfkit_core" not in started.errors  # no traceback but that of the program
    index = started.index()
    assert (index["status"], index["exit_code"], index["passes"][0]["status"]) == ("interrupted", 130, "failed")
    assert [name for name in index["files"] if "scratch" in name] == []
    assert started.holding(TOKEN.encode()) == []
    assert not scratch.exists()
    assert [path for path in started.temporary.rglob("*") if path.is_file()] == []
    assert started.alive() == []
    if times == 1:
        regions = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
        assert {row["path"] for row in regions} == {"a", "a/b"}


WAITING = """#!/bin/sh
if [ "$1" = shutdown ]; then touch "{place}/shut"; fi
if [ "$1" = --version ] && [ -e "{place}/shut" ]; then touch "{place}/looked"; sleep 4; fi
exec "{nsys}" "$@"
"""


@pytest.mark.parametrize("kept", [False, True])
def test_whoever_does_not_wait_for_the_export_keeps_the_report_only_if_asked_to(environ, tmp_path, kept):
    """The second Ctrl-C comes between nsys's end and its export, while perfkit looks for nsys again."""
    tool = tmp_path / "nsys"
    tool.write_text(WAITING.format(place=tmp_path, nsys=NSYS))
    tool.chmod(0o755)
    options = ("--set", "nsys.keep_report=true") if kept else ()
    started = Started(tmp_path, environ | {"PERFKIT_NSYS": str(tool)}, *options)
    os.killpg(started.process.pid, signal.SIGINT)
    while not (tmp_path / "looked").exists():
        time.sleep(0.01)
    assert started.interrupt(1, 0, signal.SIGINT) == 130
    left = {path.name for path in (tmp_path / "R/passes/00-nsys").iterdir()}
    assert "capture.sqlite" not in left
    assert ("capture.nsys-rep" in left) == kept
    assert ".scratch" not in left
    assert started.index()["status"] == "interrupted"


def test_a_time_limit_leaves_no_environment_either(environ, tmp_path):
    started = Started(tmp_path, environ, "--max-minutes", "0.1", tmpdir=False)
    assert started.said[0] == "None"
    assert started.process.wait(60) == 4
    assert started.index()["status"] == "partial"
    assert started.holding(TOKEN.encode()) == []
    assert list((tmp_path / "R/passes").glob("*/.scratch")) == []


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


LEAVING = """
import subprocess
sleeper = subprocess.Popen(["sleep", "300"], start_new_session=True, stdout=-3, stderr=-3)
print("left", sleeper.pid, flush=True)
"""


def test_what_keeps_nsys_waiting_is_named(environ, tmp_path):
    (tmp_path / "leaving.py").write_text(LEAVING)
    words = [*WORDS, "--out", "R", "--", sys.executable, "leaving.py"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        left = next(line for line in process.stdout if line.startswith("left")).split()[1]
        began = time.monotonic()
        line = next(line for line in process.stderr if "has ended" in line)
        assert 9 < time.monotonic() - began < 30
        expected = f"the program has ended; nsys waits for processes it left: {left} (sleep); Ctrl-C keeps what was"
        assert expected in line
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not running(left)
    assert json.loads((tmp_path / "R/run.json").read_text())["status"] == "interrupted"
