"""What this machine can execute on, found without torch: GPUs that the driver shows, and torch's own build."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit_core.backend import Gpu, Machine
from perfkit_core.errors import MissingError

CPU = "cpu"
_DRIVER_FILES = Path("/proc/driver/nvidia/gpus")


def machine(device: str = "auto", environ: Mapping[str, str] | None = None) -> Machine:
    """Return what this process can use, with ``device`` resolved.

    Args:
        device: ``auto`` (the first GPU that torch can use, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        MissingError: A CUDA device is asked for that is not there, or that torch was built without.
    """
    environ = os.environ if environ is None else environ
    found = gpus(environ)
    if device == CPU:
        return Machine(device=CPU, gpus=found, environ=environ)
    build = torch_cuda()
    if device == "auto":
        return Machine(device="cuda:0" if found and build else CPU, gpus=found, environ=environ)
    number = int(device.partition(":")[2] or 0)
    if number >= len(found):
        there = f"this machine shows {len(found)}" if found else "no CUDA device is visible here"
        raise MissingError(f"device {device} is not there: {there}", fix="--device cpu, or check nvidia-smi")
    if build == "":
        raise MissingError(
            f"device {device} cannot be used: the installed torch was built without CUDA",
            fix="install a CUDA build of torch",
        )
    return Machine(device=f"cuda:{number}", gpus=found, environ=environ)


def gpus(environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA would number 0, 1, …; none when the driver is not loaded."""
    names = _from_library()
    if names is None:
        names = _from_driver_files()
    return tuple(Gpu(index=index, name=name) for index, name in enumerate(_visible(names, environ)))


def torch_cuda() -> str | None:
    """Return the CUDA version that torch was built for, an empty text without CUDA, None without torch."""
    from importlib.util import find_spec

    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:  # a build from source keeps it elsewhere; the worker will find out
        return "unknown"
    found = re.search(r"^cuda\b[^=]*= *(?:'([^']*)'|\"([^\"]*)\"|None)", text, re.MULTILINE)
    return (found[1] or found[2] or "") if found else "unknown"


def _visible(names: Sequence[str], environ: Mapping[str, str]) -> Sequence[str]:
    """Apply ``CUDA_VISIBLE_DEVICES`` as CUDA does: numbers up to the first invalid one, or identifiers."""
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return names
    chosen: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        if entry.isdigit() and int(entry) < len(names):
            chosen.append(names[int(entry)])
        elif entry.startswith(("GPU-", "MIG-")) and names:
            chosen.append(names[0])
        else:
            break
    return chosen


def _from_library() -> list[str] | None:
    """Return names through NVML, or None when it cannot be asked."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return None


def _from_driver_files() -> list[str]:
    names: list[str] = []
    try:
        for folder in sorted(_DRIVER_FILES.iterdir()):
            found = re.search(
                r"^Model:\s*(.+?)\s*$", (folder / "information").read_text(encoding="utf-8"), re.MULTILINE
            )
            names.append(found[1] if found else "unknown")
    except OSError:  # no NVIDIA driver on this machine
        return []
    return names
