"""What of the environment a profiled process gets: nsys and ncu store all of it in their reports.

A worker of perfkit's gets what perfkit knows that it needs. A program of the user's own gets everything but secrets: it
would break without settings that nobody else knows of, and of the report only a copy is kept that has no environment.
"""

from __future__ import annotations

from collections.abc import Mapping

from perfkit_core.privacy import is_secret, looks_secret

_NAMES = frozenset(
    {
        "DISPLAY", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HOME", "LANG", "LD_LIBRARY_PATH", "LIBRARY_PATH",
        "PATH", "PERFKIT_DISABLE", "PERFKIT_NVTX", "SHELL", "TERM", "TMPDIR", "TZ", "VIRTUAL_ENV", "XDG_RUNTIME_DIR",
    }
)  # fmt: skip
_PREFIXES = (
    "CONDA_", "CUBLAS", "CUDA_", "CUDNN_", "GOMP_", "JAX_", "KMP_", "LC_", "MKL_", "NCCL_", "NSYS_", "NVIDIA_",
    "NVSHMEM_", "NVTX_", "OMP_", "OPENBLAS_", "PYTHON", "PYTORCH_", "TORCH", "TRANSFORMERS_", "TRITON_", "XLA_",
)  # fmt: skip


def minimal_environment(environ: Mapping[str, str], keep: str = "") -> dict[str, str]:
    """Return what a program needs to run: paths, libraries' settings, and nothing whose name speaks of a secret.

    Args:
        environ: The whole environment.
        keep: Further names, comma-separated, that the user wants passed on.
    """
    wanted = _names(keep)
    return {
        name: value
        for name, value in environ.items()
        if name in wanted or ((name in _NAMES or name.startswith(_PREFIXES)) and not is_secret(name))
    }


def program_environment(environ: Mapping[str, str], keep: str = "") -> dict[str, str]:
    """Return everything but what is secret by its name or by the form of its value.

    Args:
        environ: The whole environment.
        keep: Names, comma-separated, that the user wants passed on all the same.
    """
    wanted = _names(keep)
    return {
        name: value for name, value in environ.items() if name in wanted or not (is_secret(name) or looks_secret(value))
    }


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}
