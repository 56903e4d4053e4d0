"""What goes wrong in a measured run: a clear line, the right exit code, and everything before it readable."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import CODE, Outcome, read

LAB = ("run", "--model", "lab", "--backend", "wall_clock", "--device", "cpu", "--out", "R")


def assert_kept(run: Path, status: str, *, repeats: int = 1) -> str:
    """The analytic view and the runs finished before the fault are there; return the error of the pass."""
    index = read(run / "run.json")
    assert index["status"] == status
    assert index["totals"]["flops"] > 0
    failed = index["passes"][1]
    assert failed["status"] == "failed"
    assert "passes/01-wall_clock/stderr.txt" in index["files"]
    metrics = read(run / "metrics.json")
    assert (metrics["complete"], metrics["repeats"]) == (False, repeats)
    assert "ended early" in " ".join(metrics["warnings"])
    assert "ended early" in (run / "report.md").read_text()
    return failed["error"]


@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        ("memory", ("out of memory on cpu in outer/step/body", "Tried to allocate 7 GiB", "smaller workload")),
        ("huge", ("out of memory on cpu in outer/step/body", "smaller workload")),
        ("kill", ("signal SIGKILL", "its log: ")),
        ("error", ("ValueError: the widget fell off", "its traceback: ")),
    ],
)
def test_a_fault_in_mid_run(perfkit: Callable[..., Outcome], tmp_path: Path, fault: str, texts: tuple) -> None:
    failed = perfkit(*LAB, "--set", f"fault={fault}", cwd=tmp_path)
    assert failed.code == 4
    assert "Traceback" not in failed.err
    error = assert_kept(tmp_path / "R", "partial")
    for text in texts:
        assert text in error
        assert text in failed.err


@pytest.mark.parametrize(("fault", "code"), [("usage", 2), ("missing", 3), ("own", 3), ("damaged", 5)])
def test_what_only_the_worker_can_find_has_its_own_exit_code(
    perfkit: Callable[..., Outcome], tmp_path: Path, fault: str, code: int
) -> None:
    failed = perfkit(*LAB, "--set", f"fault={fault}", cwd=tmp_path)
    assert failed.code == code
    said = "weight w.7 is not in model.safetensors (name another checkpoint)"
    assert assert_kept(tmp_path / "R", "partial") == said
    assert f"error: run R is partial: backend wall_clock: {said}; fix: " in failed.err
    assert "R/passes/01-wall_clock" in failed.err.splitlines()[-1]
    index = read(tmp_path / "R/run.json")
    assert [one["exit_code"] for one in index["passes"]] == [0, code]
    assert index["exit_code"] == code


def test_several_failures_share_their_code_or_give_4(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    both = (*LAB, "--backend", "torch", "--set", "at=0")
    assert perfkit(*both, "--set", "fault=missing", cwd=tmp_path).code == 3
    assert [one["status"] for one in read(tmp_path / "R/run.json")["passes"]] == ["done", "failed", "failed"]
    assert perfkit(*both, "--set", "fault=mixed", cwd=tmp_path).code == 4
    assert [one["exit_code"] for one in read(tmp_path / "R/run.json")["passes"]] == [0, 4, 3]


def test_a_killed_worker_leaves_the_passes_around_it(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    failed = perfkit(*LAB, "--backend", "torch", "--set", "fault=kill", cwd=tmp_path)  # its one run is over before
    assert failed.code == 4
    assert [one["status"] for one in read(tmp_path / "R/run.json")["passes"]] == ["done", "failed", "done"]
    assert_kept(tmp_path / "R", "partial")
    assert read(tmp_path / "R/regions.json")["regions"]


def test_the_time_limit_ends_the_worker(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    failed = perfkit(*LAB, "--set", "fault=hang", "--max-minutes", "0.2", cwd=tmp_path)
    assert failed.code == 4
    assert "ended after 12 s" in assert_kept(tmp_path / "R", "partial")


def test_repeats_that_do_not_fit_are_left_out(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    made = perfkit(*LAB, "--repeats", "100000", "--max-minutes", "0.2", cwd=tmp_path)
    assert made.code == 0, made.err
    metrics = read(tmp_path / "R/metrics.json")
    assert 1 < metrics["repeats"] < 100000
    assert any("of 100000 repeats" in warning for warning in metrics["warnings"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_measured(environment: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", CODE, *LAB, "--set", "fault=hang"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "run 1 of 3" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read().splitlines()[-1] == "interrupted"
    assert assert_kept(tmp_path / "R", "interrupted") == "interrupted by the user"
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if str(tmp_path).encode() in line]


@pytest.mark.parametrize("apart", [0.05, 0.3])
def test_several_ctrl_c_close_the_run_too(environment: dict[str, str], tmp_path: Path, apart: float) -> None:
    command = [sys.executable, "-c", CODE, *LAB, "--set", "fault=hang"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        while "run 1 of 3" not in process.stderr.readline():
            assert process.poll() is None
        for _ in range(3):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(apart)
        assert process.wait(timeout=60) == 130
    index = read(tmp_path / "R/run.json")
    assert (index["status"], index["exit_code"], index["passes"][1]["status"]) == ("interrupted", 130, "failed")
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if str(tmp_path).encode() in line]


def test_a_device_that_is_not_there(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    refused = perfkit(*LAB, "--device", "cuda:0", cwd=tmp_path)
    assert refused.code == 3
    assert refused.err.startswith("error: device cuda:0 is not there: no CUDA device is visible here; fix: ")
    assert len(refused.err.splitlines()) == 1
    assert not (tmp_path / "R").exists()


def test_a_workload_that_cannot_be_run(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    refused = perfkit(*LAB, "--workload", "paper", cwd=tmp_path)
    assert refused.code == 3
    assert "its plugin gives no build" in refused.err
    assert not (tmp_path / "R").exists()
    plain = perfkit("run", "--model", "lab", "--workload", "paper", "--out", "R", cwd=tmp_path)
    assert plain.code == 0, plain.err
    assert "Nothing was executed: no CUDA device was found" in plain.out
    assert "Nothing was executed" in (tmp_path / "R/assumptions.md").read_text()


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_no_space_for_the_trace_leaves_the_times(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    many = ("--set", "steps=60", "--measure-steps", "all", "--repeats", "1", "--warmup", "0")
    failed = perfkit(*LAB, "--backend", "torch", *many, cwd=tmp_path, preexec_fn=limit_files)
    assert failed.code == 4, failed.err
    assert "cannot be written" in failed.err
    assert "Traceback" not in failed.err
    index = read(tmp_path / "R/run.json")
    assert [one["status"] for one in index["passes"]] == ["done", "done", "failed"]
    assert read(tmp_path / "R/metrics.json")["complete"] is True
    assert json.loads((tmp_path / "R/analytic/report.json").read_text())["totals"]["flops"] > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk(perfkit: Callable[..., Outcome], small_disk: Path) -> None:
    many = ("--set", "steps=100", "--measure-steps", "all", "--repeats", "40", "--warmup", "0")
    out = small_disk / "R"
    failed = perfkit(*LAB[:-1], out, *many, cwd=small_disk)
    assert failed.code == 3, failed.err
    assert "No space left on device" in failed.err.splitlines()[-1]
    assert "Traceback" not in failed.err
    index = read(out / "run.json")
    assert index["totals"] == {**index["totals"], "flops": read(out / "analytic/report.json")["totals"]["flops"]}
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
    samples = (out / "passes/01-wall_clock/samples.jsonl").read_bytes().split(b"\n")[:-1]
    assert len([json.loads(line) for line in samples]) > 0


@pytest.mark.parametrize("more", ["", "--json"])
def test_a_reader_that_goes_away(environment: dict[str, str], tmp_path: Path, more: str) -> None:
    command = shlex.join([sys.executable, "-c", CODE, *LAB])
    script = f"set -o pipefail; {command} {more} | head -1"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert read(tmp_path / "R/run.json")["status"] == "done"


def test_a_place_that_cannot_be_written(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for out in ("/proc/R", *(() if os.geteuid() == 0 else (closed, closed / "R"))):
        refused = perfkit(*LAB[:-1], out, cwd=tmp_path)
        assert refused.code == 2, refused.err
        assert refused.err.startswith(f"error: --out {out}")
        assert len(refused.err.splitlines()) == 1


def without(module: str, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``module`` one that is not installed."""
    (folder / f"{module}.py").write_text(f"raise ModuleNotFoundError('{module}', name='{module}')")
    monkeypatch.setitem(environment, "PYTHONPATH", os.pathsep.join([str(folder), environment["PYTHONPATH"]]))


def test_without_pyarrow_all_but_the_table_is_written(
    perfkit: Callable[..., Outcome], tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("pyarrow", tmp_path, environment, monkeypatch)
    made = perfkit(*LAB, "--backend", "torch", cwd=tmp_path)
    assert made.code == 0, made.err
    index = read(tmp_path / "R/run.json")
    (note,) = [note for note in index["notes"] if "parquet" in note]
    assert note == "kernels.parquet is not written, it needs pyarrow: pip install 'perfkit-core[parquet]'"
    assert f"note: {note}" in made.out
    assert {"kernels.md", "operators.md", "regions.json", "regions.md"} <= set(index["files"])
    assert not (tmp_path / "R/kernels.parquet").exists()


def test_without_nvml_the_gpu_state_is_unknown(
    perfkit: Callable[..., Outcome], tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("pynvml", tmp_path, environment, monkeypatch)
    code = "from perfkit_core.nvml import GpuMonitor as M; m = M('x'); print(m.state(), m.energy_mj(), repr(m.driver))"
    asked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout == "{} None ''\n"
    assert perfkit(*LAB, cwd=tmp_path).code == 0
    assert perfkit("doctor", cwd=tmp_path).code == 0
