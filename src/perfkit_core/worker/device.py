"""The worker's device: whether torch can use it, and how it is described."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.nvml import GpuMonitor
from perfkit_core.schema.run import DeviceRecord, GpuRecord


def check_device(device: str) -> None:
    """Make ``device`` the current one.

    Raises:
        MissingError: torch is not installed, or cannot use it.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingError(f"running a workload needs torch: {error}", fix="pip install torch") from None
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise MissingError(
            f"torch {torch.__version__} finds no CUDA device", fix="check nvidia-smi and that torch was built for CUDA"
        )
    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise MissingError(f"device {device} is not there: torch sees {torch.cuda.device_count()}", fix="--device")
    torch.cuda.set_device(number)


def describe(device: str) -> DeviceRecord:
    """Return the device with torch's versions and, on a GPU, its present state."""
    import torch

    cudnn: Any = torch.backends.cudnn
    return DeviceRecord(
        device=device,
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        cuda=torch.version.cuda or "",
        cudnn=str((cudnn.version() if cudnn.is_available() else None) or ""),
        tf32_matmul=torch.get_float32_matmul_precision() != "highest",
        tf32_conv=bool(cudnn.allow_tf32),
        gpu=None if device == "cpu" else _gpu(device),
    )


def monitor(device: str) -> GpuMonitor | None:
    """Return the monitor of a CUDA device, None on the CPU."""
    if device == "cpu":
        return None
    import torch

    return GpuMonitor(_uuid(torch.cuda.get_device_properties(device)))


def _gpu(device: str) -> GpuRecord:
    import torch

    properties = torch.cuda.get_device_properties(device)
    watched = GpuMonitor(_uuid(properties))
    return GpuRecord(
        name=properties.name,
        uuid=_uuid(properties),
        memory_bytes=properties.total_memory,
        driver=watched.driver,
        compute_capability=f"{properties.major}.{properties.minor}",
        before=watched.state(),
        after={},
    )


def _uuid(properties: Any) -> str:
    return str(getattr(properties, "uuid", ""))


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        import platform

        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""
