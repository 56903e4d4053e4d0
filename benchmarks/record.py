"""Make the runs of ``docs/results`` again, on a machine with a GPU where perfkit and its plugins are installed.

    python benchmarks/record.py GROUP OUT [NAME ...]

Runs the commands of ``recorded_runs.yaml`` one after the other, notes exit code, seconds and words of each in
``OUT/NAME.txt``, and leaves in ``OUT/NAME`` the run as it can be published: without the GPU's serial number, machine
paths, and names and addresses of the host. Files over 1 MiB are compressed; one that is then still larger than a
repository should hold, or cannot be made safe to share, is replaced by its size and SHA-256 (``left_out.txt``).
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
COMPRESSED, LARGEST = 2**20, 9 * 2**20
"""Bytes from which on a file is compressed, and from which on it is not published at all."""

LEFT_OUT = {"launches.json", "traceback.txt"}
"""Files that importing the capture makes again, or that hold paths of the machine alone."""


def main() -> None:
    """Record one group, or some of its runs."""
    group, out, *names = sys.argv[1:]
    runs = yaml.safe_load((HERE / "recorded_runs.yaml").read_text())[group]
    target, work = Path(out).resolve(), Path(out).resolve().with_name("recording")
    for folder in (target, work):
        folder.mkdir(parents=True, exist_ok=True)
    for program in HERE.parent.glob("docs/results/*/*_program.py"):
        shutil.copy(program, work)
    for name in names or runs:
        entry = runs[name]
        print(record(name, entry if isinstance(entry, Mapping) else {"command": entry}, work), flush=True)
        publish(work, name, target)


def record(name: str, entry: Mapping[str, str], work: Path) -> str:
    """Run one command and return its line for a table."""
    words = shlex.split(entry["command"])
    words[2:2] = ["--out", name]
    beside = started(entry["meanwhile"], work) if "meanwhile" in entry else None
    began = time.monotonic()
    with (work / f"{name}.txt").open("w") as said:
        done = subprocess.run(words, cwd=work, stdout=said, stderr=subprocess.STDOUT, check=False)
    line = f"| `{name}` | `{entry['command']}` | {done.returncode} | {time.monotonic() - began:.0f} |"
    if beside is not None:
        os.killpg(beside.pid, signal.SIGKILL)
        beside.wait()
    (work / f"{name}.txt").write_text(f"{line}\n\n{(work / f'{name}.txt').read_text()}")
    return line


def started(command: str, work: Path) -> subprocess.Popen[bytes]:
    """Start what is to run meanwhile and give it time to come to its work."""
    process = subprocess.Popen(
        shlex.split(command), cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(15)
    return process


def publish(work: Path, name: str, target: Path) -> None:
    """Copy what a run left to ``target``, without what is not for others."""
    shutil.rmtree(target / name, ignore_errors=True)
    secret = re.compile("|".join(re.escape(text) for text in sorted(private(work), key=len, reverse=True)))
    left_out = []
    for path in (work / f"{name}.txt", *sorted((work / name).rglob("*"))):
        if not path.is_file() or path.name in LEFT_OUT:
            continue
        copy = target / path.relative_to(work)
        copy.parent.mkdir(parents=True, exist_ok=True)
        why = written(path, copy, secret)
        if why:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            left_out.append(f"{path.relative_to(work)}: {why}; {path.stat().st_size} bytes, SHA-256 {digest}\n")
    if left_out:
        (target / name / "left_out.txt").write_text("".join(left_out))


def written(path: Path, copy: Path, secret: re.Pattern[str]) -> str:
    """Write a copy that is safe to share, compressed if it is long; return why there is none, if so."""
    if path.suffix == ".ncu-rep":
        made = subprocess.run(
            ["perfkit", "scrub", str(path), "--output", str(copy)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            return made.stderr.strip()
    elif path.suffix in {".sqlite", ".parquet"}:  # made without anything private
        shutil.copy(path, copy)
    else:
        packed = path.suffix == ".gz"
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        try:
            text = re.sub(r'("uuid": ")[^"]*"', r'\1removed"', data.decode())
        except UnicodeDecodeError:
            return "neither a text nor of a kind that is known"
        data = secret.sub("", text).encode()
        copy.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    if copy.stat().st_size > COMPRESSED:
        data = lzma.compress(copy.read_bytes())
        copy.unlink()
        if len(data) > LARGEST:
            return "too long"
        copy.with_name(f"{copy.name}.xz").write_bytes(data)
    return ""


def private(work: Path) -> Iterator[str]:
    """Yield what names this machine: the directory of the runs, the host, where packages lie."""
    yield f"{work}/"
    yield str(work)
    yield from {socket.gethostname()} - {"localhost"}
    yield from {f"{place}/" for place in os.environ.get("PYTHONPATH", "").split(":") if place}


if __name__ == "__main__":
    main()
