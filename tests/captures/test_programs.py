"""What a program under ``exec`` reads, prints, gets and marks is its own; what wraps it stays apart."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

PERFKIT = [sys.executable, "-c", "from perfkit_core.cli import main; main()"]


def python(code):
    return ["--", sys.executable, "-c", code]


def notes_of(tmp_path):
    return json.loads((tmp_path / "R/run.json").read_text())["passes"][0]["notes"]


@pytest.fixture
def raw(environ, tmp_path):
    """Run ``perfkit exec`` on bytes."""

    def run(*arguments, stdin=b"", **extra):
        command = [*PERFKIT, "exec", "--out", "R", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**environ, **extra}, input=stdin, capture_output=True, check=False, timeout=120
        )

    return run


def test_a_program_reads_what_perfkit_reads(raw):
    done = raw("--backend", "wraps", "--", "cat", stdin=b"hi\nthere")
    assert done.stdout.startswith(b"hi\nthere\ncat: done\n")


def test_a_prompt_is_shown_before_the_answer(environ, tmp_path):
    code = "print('hello', input('name? '))"
    command = [*PERFKIT, "exec", "--backend", "noisy", "--out", "R", *python(code)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, **pipes) as process:
        shown = process.stdout.read(len("name? "))
        assert shown == b"name? "
        rest, _ = process.communicate(b"Ada\n", timeout=60)
    assert rest.startswith(b"hello Ada\n")


def test_output_is_the_programs_byte_for_byte_and_the_tools_is_in_a_log(raw, tmp_path):
    code = "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.buffer.write(b'\\xff no end')"
    done = raw("--backend", "noisy", *python(code))
    directory = tmp_path / "R/passes/00-noisy"
    assert (directory / "stdout.txt").read_bytes() == bytes(range(256))
    assert done.stdout.startswith(bytes(range(256)))
    assert (directory / "stderr.txt").read_bytes() == b"\xff no end"
    assert done.stderr.startswith(b"\xff no end")
    assert (directory / "tool.txt").read_text() == "Collecting data...\ncareful\nGenerated:"
    assert b"Collecting" not in done.stdout + done.stderr


def test_the_start_leaves_no_trace_in_the_program(raw, environ, tmp_path):
    """Neither Python's signals nor what it makes of the C locale."""
    code = "import os, signal; print(sorted(os.environ)); print(open('/proc/self/status').read())"
    (tmp_path / "show.py").write_text(code)
    raw("--backend", "wraps", "--", sys.executable, "-X", "utf8", "show.py", LC_ALL="")
    names, status = (tmp_path / "R/passes/00-wraps/stdout.txt").read_text().split("\n", 1)
    plain = subprocess.run(
        ["env", "LAB=wrapped", sys.executable, "-X", "utf8", "show.py"],
        cwd=tmp_path, env={name: environ[name] for name in ("PATH", "HOME")}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    own_names, own = plain.stdout.split("\n", 1)
    assert set(eval(names)) - set(eval(own_names)) == {"PERFKIT_NVTX", "PERFKIT_PROGRAM"}
    ignored = [next(line for line in text.splitlines() if line.startswith("SigIgn")) for text in (status, own)]
    assert ignored[0] == ignored[1]


def test_a_tool_that_does_not_start_the_program_is_told_with_its_last_words(perfkit):
    done = perfkit("exec", "--backend", "broken", "--out", "R", "--", "true")
    assert done.code == 4
    assert "sh ended with exit status 7 without starting true: the widget is locked" in done.err


def test_a_tool_that_ends_before_it_starts_the_program_gets_a_second_chance(perfkit, tmp_path):
    done = perfkit("exec", "--backend", "busy", "--out", "R", "--", "touch", "ran")
    assert (tmp_path / "tried").exists()
    assert (tmp_path / "ran").exists(), done.err
    (made,) = json.loads((tmp_path / "R/run.json").read_text())["passes"]
    assert (
        "sh ended with exit status 1 without starting touch: the socket is gone; it was tried once more"
        in made["notes"]
    )


SCRIPTS = {
    "no permission": ("#!/bin/sh\n", 0o644, "has no permission to be executed; fix: chmod +x ./tool"),
    "no first line": ("echo hi\n", 0o755, "does not say what runs it; fix: begin it with a line such as #!/bin/sh"),
    "no interpreter": ("#!/no/such/python\n", 0o755, "is to be run by /no/such/python, which is not there"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_scripts_that_cannot_be_started_are_refused_with_the_way_out(perfkit, tmp_path, case):
    text, mode, words = SCRIPTS[case]
    (tmp_path / "tool").write_text(text)
    (tmp_path / "tool").chmod(mode)
    done = perfkit("exec", "--backend", "wraps", "--out", "R", "--", "./tool")
    assert (done.code, words in done.err) == (3, True), done.err
    assert not (tmp_path / "R").exists()


def test_what_is_no_program_is_refused(perfkit, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    for name, words in (("/tmp", "is a directory"), ("tool", "fix: ./tool"), ("", "name is empty")):
        done = perfkit("exec", "--backend", "wraps", "--out", "R", "--", name)
        assert (done.code, words in done.err) == (3, True), done.err


def test_a_program_of_another_machine_is_told(perfkit, tmp_path):
    (tmp_path / "odd").write_bytes(b"\x7fELF\0\0\0")
    (tmp_path / "odd").chmod(0o755)
    done = perfkit("exec", "--backend", "wraps", "--out", "R", "--", "./odd")
    assert done.code == 3
    assert "./odd cannot be started: Exec format error" in done.err


def test_variables_that_are_withheld_are_named_and_their_values_are_not(raw, tmp_path):
    done = raw("--backend", "wraps", "--", "true", MY_SETTING="tok3n-9137")
    (note,) = (note for note in notes_of(tmp_path) if "MY_SETTING" in note)
    assert "did not get" in note
    assert "keep_env" not in note  # this backend has no such parameter
    assert f"note: {note}".encode() in done.stdout
    assert "MY_SETTING" in (tmp_path / "R/report.md").read_text()
    assert [path for path in (tmp_path / "R").rglob("*") if path.is_file() and b"tok3n-9137" in path.read_bytes()] == []


def test_names_of_withheld_variables_are_on_stderr_with_json(raw):
    done = raw("--backend", "wraps", "--json", "--", "true", MY_SETTING="x")
    json.loads(done.stdout)
    assert b"note: The program did not get" in done.stderr
    assert b"MY_SETTING" in done.stderr


def test_regions_that_mark_nothing_for_want_of_nvtx_are_told(perfkit, tmp_path):
    code = "import sys; sys.modules['nvtx'] = None\nfrom perfkit_core import region\nwith region('a'): print(1)"
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(code))
    assert done.code == 0, done.err
    (note,) = (note for note in notes_of(tmp_path) if "nvtx" in note)
    assert note.startswith(f"perfkit_core.region marked nothing in {sys.executable}: ")
    assert note.endswith(f"{sys.executable} -m pip install nvtx")
    assert f"note: {note}" in done.out
    assert "perfkit_core.region marked nothing" in (tmp_path / "R/report.md").read_text()
    (left,) = (tmp_path / "R/passes/00-wraps").glob("nvtx-*.json")
    assert list(json.loads(left.read_text())["errors"]) == [sys.executable]


NVTX = """
import os, sys, types
sys.modules["nvtx"] = types.SimpleNamespace(push_range=lambda name, domain: 0, pop_range=lambda domain: 0)
"""
FORKS = """
from perfkit_core import region
with region("outer"):
    with region("inner"): pass
    if os.fork() == 0:
        for _ in range(4):
            with region("lost"): pass
        os._exit(0)
    os.wait()
print(1)
"""
FORKED_FIRST = """
if os.fork() == 0:
    from perfkit_core import region
    with region("lost"): pass
    os._exit(0)
os.wait()
from perfkit_core import region
with region("kept"): pass
"""


@pytest.mark.parametrize(
    ("code", "kept", "lost"),
    [(FORKS, {"outer": 1, "outer/inner": 1}, {"lost": 4}), (FORKED_FIRST, {"kept": 1}, {"lost": 1})],
)
def test_ranges_of_forked_children_are_counted_apart_and_told(perfkit, tmp_path, code, kept, lost):
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(NVTX + code))
    assert done.code == 0, done.err
    counts = [json.loads(path.read_text()) for path in (tmp_path / "R/passes/00-wraps").glob("nvtx-*.json")]
    assert sorted((one["ranges"], one["forked"]) for one in counts if one["ranges"]) == [(kept, {})]
    assert [one["forked"] for one in counts if one["forked"]] == [lost]
    (note,) = (note for note in notes_of(tmp_path) if "forked" in note)
    assert note.startswith(f"{sum(lost.values())} ranges of forked process ")
    assert "spawn" in note


def test_counts_are_kept_of_a_process_that_is_killed(perfkit, tmp_path):
    code = NVTX + "from perfkit_core import region\nwith region('a'): pass\nos.kill(os.getpid(), 9)"
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(code))
    assert done.code == 4
    (left,) = (tmp_path / "R/passes/00-wraps").glob("nvtx-*.json")
    counts = json.loads(left.read_text())
    assert (counts["ranges"], counts["unsure"]) == ({}, {"a": 1})
    assert any("the last may be missing" in note for note in notes_of(tmp_path))


def test_the_command_line_is_kept_as_one_would_type_it(raw, tmp_path):
    raw("--backend", "wraps", "--", "echo", "a b")
    kept = (tmp_path / "R/passes/00-wraps/command.txt").read_text()
    assert shlex.split(kept) == ["env", "LAB=wrapped", "echo", "a b"]
