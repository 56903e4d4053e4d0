"""The command line on real Wan2.1 modules: random weights, a checkpoint, and checkpoints that do not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .tiny_checkpoint import VAE_FILE, modules, write_official

SMALL = ("num_frames=5", "height=32", "width=48", "text_len=8", "num_inference_steps=2", "dtype=float32")


def perfkit(*arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    settings = [part for value in SMALL for part in ("--set", value)]
    command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", "run", "--model", "wan2_1"]
    command += ["--backend", "wall_clock", "--device", "cpu", "--repeats", "1", "--warmup", "0", "--out", str(out)]
    # Threads that wait for each other by spinning make small networks slow on busy cores.
    return subprocess.run(
        [*command, *settings, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )


@pytest.fixture(scope="module")
def source() -> Mapping[str, Any]:
    return modules()


def test_tiny_is_measured(tmp_path: Path) -> None:
    done = perfkit("--variant", "tiny", "--set", "guidance=true", out=tmp_path / "R")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "R" / "metrics.json").read_text())
    stages = metrics["aggregates"]["stage_ms"]
    assert {"text_encoder", "denoise", "step", "vae_decode"} <= stages.keys()
    assert stages["denoise"]["mean"] >= stages["step"]["mean"] > 0
    assert "negative_prompt" in (tmp_path / "R" / "inputs.yaml").read_text()


def test_a_checkpoint_is_measured_or_refused(tmp_path: Path, source: Mapping[str, Any]) -> None:
    checkpoint = write_official(tmp_path / "checkpoint", source, shards=2)
    done = perfkit("--checkpoint", str(checkpoint), out=tmp_path / "R")
    assert done.returncode == 0, done.stderr
    shard = sorted(checkpoint.glob("*.safetensors"))[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:-7])
    damaged = perfkit("--checkpoint", str(checkpoint), out=tmp_path / "D")
    # The costs are still estimated, so the run is partial rather than refused.
    assert damaged.returncode in {4, 5}, damaged.stderr
    assert f"{shard} is damaged or truncated" in damaged.stderr
    assert "Traceback" not in damaged.stderr
    assert json.loads((tmp_path / "D" / "analytic" / "report.json").read_text())["totals"]["flops"] > 0
    write_official(checkpoint, source)
    vae = checkpoint / VAE_FILE
    vae.write_bytes(vae.read_bytes()[:-7])
    refused = perfkit("--checkpoint", str(checkpoint), out=tmp_path / "V")
    assert refused.returncode == 5, refused.stderr
    assert str(vae) in refused.stderr
    assert not (tmp_path / "V").exists()
