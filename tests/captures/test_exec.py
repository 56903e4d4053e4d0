"""Programs of the user's own under a backend that wraps them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = "import os, sys; print(os.environ['LAB']); print('warned', file=sys.stderr)"


def python(code):
    return ["--", sys.executable, "-c", code]


def index_of(tmp_path):
    return json.loads((tmp_path / "R" / "run.json").read_text())


def test_a_program_is_measured_and_its_output_shown_and_kept(perfkit, tmp_path):
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(PROGRAM))
    assert done.code == 0, done.err
    assert done.out.startswith("wrapped\n")
    assert "warned" in done.err
    run = index_of(tmp_path)
    assert (run["kind"], run["status"], run["model"]) == ("command", "done", "")
    assert run["command"] == [sys.executable, "-c", PROGRAM]
    assert (tmp_path / "R/passes/00-wraps/stdout.txt").read_text() == "wrapped\n"
    assert (tmp_path / "R/passes/00-wraps/command.txt").read_text().startswith("env LAB=wrapped ")
    assert {file: source for file, source in run["file_passes"].items() if "kernels" not in file} == {
        "regions.json": "passes/00-wraps", "regions.md": "passes/00-wraps",
    }  # fmt: skip
    assert "`wrapped`" in (tmp_path / "R/report.md").read_text()


def test_json_is_alone_on_stdout(perfkit):
    done = perfkit("exec", "--backend", "wraps", "--out", "R", "--json", *python(PROGRAM))
    assert done.json()["regions"][0]["path"] == "wrapped"
    assert done.json()["run_dir"] == "R"
    assert "wrapped" in done.err


@pytest.mark.parametrize(("end", "said"), [("sys.exit(3)", "exit status 3"), ("os.abort()", "signal SIGABRT")])
def test_a_program_that_fails_is_a_failed_pass_with_what_was_recorded(perfkit, tmp_path, end, said):
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(f"import os, sys; print(1, flush=True); {end}"))
    assert done.code == 4
    assert said in done.err
    run = index_of(tmp_path)
    assert (run["status"], run["exit_code"]) == ("partial", 4)
    assert said in run["passes"][0]["error"]
    assert json.loads((tmp_path / "R/regions.json").read_text())["regions"][0]["path"] == "1"


def test_a_capture_that_fails_is_said(perfkit, tmp_path):
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python("print('no capture')"))
    assert done.code == 4
    assert "the lab recorded nothing" in done.err
    assert index_of(tmp_path)["status"] == "failed"


def test_a_time_limit_ends_the_program(perfkit, tmp_path):
    code = "import time; print('begun', flush=True); time.sleep(60)"
    done = perfkit("exec", "--backend", "wraps", "--max-minutes", "0.03", "--out", "R", *python(code))
    assert done.code == 4
    assert "was ended after" in done.err
    assert json.loads((tmp_path / "R/regions.json").read_text())["regions"][0]["path"] == "begun"


def test_ctrl_c_keeps_what_was_recorded(environ, tmp_path):
    code = "import time; print('begun', flush=True); time.sleep(60)"
    perfkit = [sys.executable, "-c", "from perfkit_core.cli import main; main()"]
    command = [*perfkit, "exec", "--backend", "wraps", "--out", "R", *python(code)]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert index_of(tmp_path)["status"] == "interrupted"
    assert json.loads((tmp_path / "R/regions.json").read_text())["regions"][0]["path"] == "begun"


REFUSED = {
    "a backend inside the worker": (["--backend", "inside", "--", "true"], 2, "cannot measure a program"),
    "wall_clock": (["--backend", "wall_clock", "--", "true"], 2, "cannot measure a program"),
    "no backend": (["--", "true"], 2, "no backend is named"),
    "no command": (["--backend", "wraps"], 2, "no command is given"),
    "an unknown program": (["--backend", "wraps", "--", "no-such-program"], 3, "there is no program"),
    "a missing tool": (["--backend", "absent", "--", "true"], 3, "the widget is missing"),
    "an unknown parameter": (["--backend", "wraps", "--set", "depth=1", "--", "true"], 2, "unknown parameter 'depth'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused_before_anything_is_made(perfkit, tmp_path, case):
    arguments, code, words = REFUSED[case]
    done = perfkit("exec", "--out", "R", *arguments)
    assert done.code == code, done.err
    assert words in done.err
    assert not (tmp_path / "R").exists()


FAKE_NVTX = """
import sys
def push_range(name, domain): print("push", name, domain)
def pop_range(domain): print("pop", domain)
"""
MARKED = "from perfkit_core import region\nwith region('a/b'):\n    with region('c'):\n        pass"


@pytest.mark.parametrize(
    ("mark", "said"),
    [("1", ["push a%2Fb perfkit", "push c perfkit", "pop perfkit", "pop perfkit"]), ("0", []), (None, [])],
)
def test_region_marks_nvtx_ranges_where_exec_asks_for_them(environ, tmp_path, mark, said):
    (tmp_path / "nvtx.py").write_text(FAKE_NVTX)
    path = os.pathsep.join([str(tmp_path), environ["PYTHONPATH"]])
    extra = {} if mark is None else {"PERFKIT_NVTX": mark}
    done = subprocess.run(
        [sys.executable, "-c", MARKED],
        env={**environ, "PYTHONPATH": path, **extra},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == said, done.stderr


def test_exec_asks_for_ranges_although_the_backend_cuts_the_environment(perfkit):
    code = "import os; print(os.path.isdir(os.environ['PERFKIT_NVTX']), 'PYTHONPATH' in os.environ)"
    done = perfkit("exec", "--backend", "wraps", "--out", "R", *python(code))
    assert done.out.startswith("True False\n")


def test_a_region_costs_next_to_nothing_without_a_profiler():
    from perfkit_core import region

    started = time.perf_counter()
    for _ in range(10_000):
        with region("a"):
            pass
    assert time.perf_counter() - started < 1.0
