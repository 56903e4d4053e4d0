"""Cold: ``perfkit run`` for the whole pipeline against a plain script that builds and counts it.

Both are whole processes, interpreter start included, and must print the same FLOPs.

    python benchmarks/cold.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import command, interleaved, ratio, row

REPEATS = 5


def main() -> None:
    """Measure and print."""
    perfkit = str(Path(sys.executable).with_name("perfkit"))
    with tempfile.TemporaryDirectory() as folder:
        run = [perfkit, "run", "--model", "wan2_1", "--workload", "native_720p", "--backend", "analytic", "--json"]
        count = [sys.executable, str(Path(__file__).with_name("cold_counter.py"))]
        ours = json.loads(subprocess.run([*run, "--out", f"{folder}/first"], check=True, capture_output=True).stdout)
        theirs = json.loads(subprocess.run(count, check=True, capture_output=True).stdout)
        if ours["totals"]["flops"] != theirs["flops"]:
            raise SystemExit(f"the two sides disagree: {ours['totals']['flops']} and {theirs['flops']} FLOPs")
        sides = {"perfkit": command([*run, "--out", f"{folder}/run"]), "script": command(count)}
        seconds = interleaved(sides, REPEATS)
    print(f"Wan2.1 14B, native_720p, whole pipeline: {theirs['flops']} FLOPs on both sides")
    row("perfkit run --backend analytic --json, cold", seconds["perfkit"])
    row("script with FlopCounterMode, cold", seconds["script"])
    ratio("script / perfkit", seconds["script"], seconds["perfkit"], ">= 12")


if __name__ == "__main__":
    main()
