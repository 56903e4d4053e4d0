"""``perfkit verify`` from the command line; what it counts is tested with the models."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit_core.schema.run import RunIndex
from perfkit_core.schema.verify import EndToEnd, VerifyReport

from .harness import TINY, Command

pytest.importorskip("torch")


def test_the_result_goes_into_a_run_of_the_same_subject_only(shell: Command, workplace: Path) -> None:
    assert shell("run", *TINY, "--out", "R").code == 0
    done = shell("verify", *TINY, "--out", "R", "--json")
    assert done.code == 0, done.err
    answer = done.json()
    assert {"schema", "passed", "tolerance", "modules", "mismatched", "layers", "end_to_end"} <= set(answer)
    assert (answer["passed"], answer["mismatched"], answer["unmatched"]) == (True, 0, [])
    assert "perfkit: counting" in done.err
    index = RunIndex.model_validate_json(Path("R/run.json").read_bytes())
    assert [(one.backend, one.status) for one in index.passes] == [("analytic", "done"), ("verify", "done")]
    assert {"verify/layers.json", "verify/end2end.json"} <= set(index.files)
    report = VerifyReport.model_validate_json(Path("R/verify/layers.json").read_bytes())
    assert EndToEnd.model_validate_json(Path("R/verify/end2end.json").read_bytes()) == report.end_to_end
    assert index.totals is not None
    assert report.end_to_end.counted == index.totals.flops

    before = Path("R/run.json").read_bytes()
    for other in (("--workload", "p512"), ("--set", "height=512"), ("--variant", "t2v_1_3b")):
        refused = shell("verify", *TINY, *other, "--out", "R")
        assert refused.code == 2
        assert "--out R holds a run" in refused.err
    assert Path("R/run.json").read_bytes() == before
    assert not Path("R.1").exists()


def test_a_difference_past_the_tolerance_exits_1(shell: Command, plugin_path: Path) -> None:
    failed = shell("verify", "--model", "wrong", "--out", "R", "--json", path=plugin_path)
    assert failed.code == 1
    assert failed.json()["passed"] is False
    assert [layer["verdict"] for layer in failed.json()["layers"]] == ["over"]
    assert "Traceback" not in failed.err
    assert "error: wrong differs from its reference" in failed.err
    assert json.loads(Path("R/verify/layers.json").read_text())["layers"][0]["expected"] == 2 * 9 * 4 * 4
    loose = shell("verify", "--model", "wrong", "--tolerance", "12%", "--out", "S", path=plugin_path)
    assert loose.code == 0, loose.err
    assert shell("verify", "--model", "wrong", path=plugin_path, PERFKIT_TOLERANCE="0.2").code == 0


def test_a_model_without_reference(shell: Command, plugin_path: Path) -> None:
    failed = shell("verify", "--model", "broken", "--out", "R", path=plugin_path)
    assert failed.code == 3
    assert "no reference implementation" in failed.err
    index = json.loads(Path("R/run.json").read_text())
    assert index["passes"][-1]["status"] == "failed"
    assert "no reference implementation" in index["passes"][-1]["error"]


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has ended since
            yield path.read_bytes()


def test_ctrl_c_ends_the_worker_too(workplace: Path) -> None:
    code = "import sys; from perfkit_core.cli import main; sys.argv[0] = 'perfkit'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "verify", "--model", "wan2_1", "--out", "R"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("perfkit: counting")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read().splitlines()[-1] == "interrupted"
    index = json.loads(Path("R/run.json").read_text())
    assert (index["status"], index["passes"][-1]["error"]) == ("interrupted", "interrupted by the user")
    assert not [line for line in command_lines() if str(workplace).encode() in line]


def test_without_torch_nothing_is_made(shell: Command, tmp_path: Path, workplace: Path) -> None:
    (tmp_path / "hide").mkdir()
    hide = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'torch' else f(n, *a)"
    (tmp_path / "hide" / "sitecustomize.py").write_text(hide)
    failed = shell("verify", *TINY, "--out", "R", path=tmp_path / "hide")
    assert failed.code == 3
    assert "fix: pip install torch" in failed.err
    assert list(workplace.iterdir()) == []
