"""One empty kernel, launched through the driver alone: tells what a profiler can do here before a long run is begun.

Run as ``python probe.py DEVICE``; needs no torch and no CUDA toolkit. Exit status 3 when there is no usable GPU.
"""

from __future__ import annotations

import ctypes
import sys

_KERNEL = b"perfkit_probe"
_PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry perfkit_probe() { ret; }
"""
NO_DEVICE = 3


def main(device: int) -> int:
    """Launch the kernel once on a device and wait for it; return 0, or ``NO_DEVICE`` where that is not possible."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return _fail(f"the driver's library cannot be loaded: {error}")
    number, context, module, function = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    steps = (
        ("cuInit", (0,)),
        ("cuDeviceGet", (ctypes.byref(number), device)),
        ("cuCtxCreate_v2", (ctypes.byref(context), 0, ctypes.c_int(device))),
        ("cuModuleLoadData", (ctypes.byref(module), _PTX)),
        ("cuModuleGetFunction", (ctypes.byref(function), module, _KERNEL)),
        ("cuLaunchKernel", (function, 1, 1, 1, 32, 1, 1, 0, None, None, None)),
        ("cuCtxSynchronize", ()),
    )
    for name, arguments in steps:
        status = getattr(driver, name)(*arguments)
        if status:
            return _fail(f"{name} on device {device} ended with CUDA error {status}")
    return 0


def _fail(problem: str) -> int:
    sys.stderr.write(f"{problem}\n")
    return NO_DEVICE


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
