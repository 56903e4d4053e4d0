"""Programs under a real nsys, on a machine without a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

NSYS = shutil.which("nsys")
if NSYS is None and os.environ.get("REQUIRE_NSYS"):
    raise RuntimeError("nsys is required here and not installed: .ci/install-nsys")
pytestmark = pytest.mark.skipif(NSYS is None, reason="nsys is not installed: .ci/install-nsys")

PERFKIT = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "exec", "--backend", "nsys", "--out", "R"]
ENTIRE = "\0\r\n[1/1] [=100%] \xff no line end".encode("latin-1")


@pytest.fixture
def nsys(environ, tmp_path):
    def run(*arguments, stdin=b"", **extra):
        command = [*PERFKIT, *arguments]
        given = {name: value for name, value in environ.items() if "TOKEN" not in name} | extra
        return subprocess.run(
            command, cwd=tmp_path, env=given, input=stdin, capture_output=True, check=False, timeout=120
        )

    return run


def notes_of(tmp_path):
    return json.loads((tmp_path / "R/run.json").read_text())["passes"][0]["notes"]


def test_bytes_pass_both_ways_and_nothing_of_nsys_is_among_them(nsys, tmp_path):
    done = nsys("--json", "--", "cat", stdin=ENTIRE)
    assert json.loads(done.stdout)["status"] == "done"
    assert done.stderr.startswith(ENTIRE)
    assert b"Generat" not in done.stderr
    directory = tmp_path / "R/passes/00-nsys"
    assert (directory / "stdout.txt").read_bytes() == ENTIRE
    assert (directory / "stderr.txt").read_bytes() == b""
    assert "capture.nsys-rep" in (directory / "tool.txt").read_text()


def test_a_token_is_in_no_file_whatever_its_name_and_settings_reach_the_program(nsys, tmp_path):
    """What looks secret is withheld; what does not is given, and nsys's copy of it is not kept."""
    code = "import os; print(sorted(name for name in os.environ if name.startswith('MY_')), os.environ['MY_MODE'][-4:])"
    secrets = {
        "MY_TOKEN": "tok3n-9137-a", "MY_URL": "https://me:tok3n-9137-b@example.org", "MY_MODE": "tok3n-9137-c",
        "MY_KEY": "tok3n-9137-d",
    }  # fmt: skip
    done = nsys("--set", "keep_env=MY_KEY", "--", sys.executable, "-c", code, **secrets)
    assert done.stdout.startswith(b"['MY_KEY', 'MY_MODE'] 37-c\n"), done.stderr
    kept = [path for path in (tmp_path / "R").rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in kept)
    for form in (b"tok3n-9137", "tok3n-9137".encode("utf-16-le")):
        assert [path.name for path in kept if form in path.read_bytes()] == []
    (note,) = (note for note in notes_of(tmp_path) if "did not get" in note)
    assert "MY_TOKEN,MY_URL" in note
    assert "--set keep_env=" in note
    assert note.encode() in done.stdout


POOL = """
import multiprocessing, sys
from perfkit_core import region
def work(number):
    with region("child"):
        with region("inner"): pass
if __name__ == "__main__":
    with region("main"):
        pool = multiprocessing.get_context(sys.argv[1]).Pool(2)
        pool.map(work, range(10))
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_ranges_recorded_are_those_of_children_that_nsys_sees(nsys, tmp_path, method):
    (tmp_path / "pool.py").write_text(POOL)
    done = nsys("--", sys.executable, "pool.py", method)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
    seen = {"child": 10, "child/inner": 10} if method == "spawn" else {}
    assert {row["path"]: row["instances"] for row in rows if row["process"] is None} == {"main": 1, **seen}
    told = [note for note in notes_of(tmp_path) if note.startswith("20 ranges of forked process")]
    assert len(told) == (method != "spawn")


def test_a_child_that_is_killed_may_take_ranges_with_it_and_the_others_are_compared(nsys, tmp_path):
    marks = "from perfkit_core import region\nfor _ in range(3):\n    with region('a'): pass"
    child = f"import os\n{marks}\nos.kill(os.getpid(), 9)"
    code = f"""
import subprocess, sys
from perfkit_core import region
with region("b"): subprocess.run([sys.executable, "-c", {child!r}])
"""
    done = nsys("--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
    found = {row["path"]: row["instances"] for row in rows if row["process"] is None}
    assert found["b"] == 1
    assert found.get("a", 0) <= 3
    assert any(note.startswith("Of the 3 ranges that process ") for note in notes_of(tmp_path))
    lost = [note for note in notes_of(tmp_path) if "were not recorded" in note]
    assert [note.partition(" ")[0] for note in lost] == ([str(3 - found.get("a", 0))] if found.get("a", 0) < 3 else [])


def test_a_pool_that_ends_its_children_is_no_fault(nsys, tmp_path):
    """Leaving a pool's block ends its processes wherever they are: what they lose of their ranges is told."""
    (tmp_path / "pool.py").write_text("""
import multiprocessing
from perfkit_core import region

def work(number):
    with region("job"): return number

if __name__ == "__main__":
    with region("main"), multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(work, range(6))
""")
    done = nsys("--", sys.executable, "pool.py")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
    found = {row["path"]: row["instances"] for row in rows if row["process"] is None}
    assert found["main"] == 1
    listed = json.loads((tmp_path / "R/run.json").read_text())["files"]
    assert [name for name in listed if not (tmp_path / "R" / name).is_file()] == []
    assert found.get("job", 0) == 6 or any("were not recorded" in note for note in notes_of(tmp_path))


def test_ranges_that_a_program_marks_itself_in_perfkits_domain_are_a_note(nsys, tmp_path):
    code = """
import nvtx
from perfkit_core import region
with region("mine"): pass
for _ in range(2):
    with nvtx.annotate("same", domain="perfkit"): pass
"""
    done = nsys("--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
    assert {row["path"]: row["instances"] for row in rows if row["process"] is None} == {"mine": 1, "same": 2}
    assert any(note.startswith("2 more ranges were recorded in domain perfkit") for note in notes_of(tmp_path))


def test_what_a_program_marked_before_it_crashed_is_kept(nsys, tmp_path):
    """It died inside a region, so that its own counts are behind what nsys recorded."""
    code = """
import os, time
from perfkit_core import region
with region("a"):
    for _ in range(100):
        with region("b"): pass
    time.sleep(1)
    os.abort()
"""
    done = nsys("--", sys.executable, "-c", code)
    assert done.returncode == 4
    assert b"ended with signal SIGABRT" in done.stderr
    rows = json.loads((tmp_path / "R/regions.json").read_text())["regions"]
    assert "a" in {row["path"] for row in rows}
