"""GPUs and their dense peaks: what a measured time is held against. Every entry names its source."""

from __future__ import annotations

from perfkit_core.specs import DeviceSpec

_TERA, _GIGA = 10**12, 10**9


def _device(
    name: str,
    *match: str,
    half: float,
    tf32: float,
    fp32: float,
    bandwidth: int,
    memory: int,
    source: str,
    fp8: float | None = None,
    fp4: float | None = None,
) -> DeviceSpec:
    """Build an entry from TFLOP/s, GB/s and GB as data sheets give them; dense values only."""
    peaks = {"bfloat16": half, "float16": half, "tfloat32": tf32, "float32": fp32}
    peaks |= {} if fp8 is None else {"float8_e4m3fn": fp8, "float8_e5m2": fp8}
    peaks |= {} if fp4 is None else {"float4_e2m1fn_x2": fp4}
    return DeviceSpec(
        name=name,
        match=match,
        dense_peaks={dtype: peak * _TERA for dtype, peak in peaks.items()},
        memory_bandwidth=bandwidth * _GIGA,
        memory=memory * _GIGA,
        source=source,
    )


def builtin_devices() -> list[DeviceSpec]:
    """Return the GPUs that perfkit knows by itself.

    Names must match in full: an H200 NVL, a laptop's RTX 4090 or a slice of a GPU has other limits.
    """
    return [
        _device(
            "h100_sxm",
            r"NVIDIA H100( SXM5?)?( 80GB)?( HBM3)?",
            half=989.4,
            fp8=1978.9,
            tf32=494.7,
            fp32=66.9,
            bandwidth=3350,
            memory=80,
            source="NVIDIA H100 Tensor Core GPU architecture white paper, SXM5, values without sparsity",
        ),
        _device(
            "h100_pcie",
            r"NVIDIA H100 PCIe",
            half=756,
            fp8=1513,
            tf32=378,
            fp32=51.2,
            bandwidth=2000,
            memory=80,
            source="NVIDIA H100 data sheet, PCIe, sparse values halved",
        ),
        _device(
            "h200",
            r"NVIDIA H200( SXM)?( 141GB)?( HBM3e)?",
            half=989.4,
            fp8=1978.9,
            tf32=494.7,
            fp32=66.9,
            bandwidth=4800,
            memory=141,
            source="NVIDIA H200 data sheet, SXM, sparse values halved",
        ),
        _device(
            "h20",
            r"NVIDIA H20",
            half=148,
            fp8=296,
            tf32=74,
            fp32=44,
            bandwidth=4000,
            memory=96,
            source="NVIDIA H20 data sheet",
        ),
        _device(
            "b200",
            r"NVIDIA B200",
            half=2250,
            fp8=4500,
            fp4=9000,
            tf32=1125,
            fp32=75,
            bandwidth=8000,
            memory=180,
            source="NVIDIA HGX B200 data sheet, per GPU, sparse values halved",
        ),
        _device(
            "a100_sxm",
            r"NVIDIA A100-SXM4-80GB",
            half=312,
            tf32=156,
            fp32=19.5,
            bandwidth=2039,
            memory=80,
            source="NVIDIA A100 data sheet, SXM 80GB, values without sparsity",
        ),
        _device(
            "l40s",
            r"NVIDIA L40S",
            half=362,
            fp8=733,
            tf32=183,
            fp32=91.6,
            bandwidth=864,
            memory=48,
            source="NVIDIA L40S data sheet, values without sparsity",
        ),
        _device(
            "rtx_4090",
            r"NVIDIA GeForce RTX 4090",
            half=165.2,
            fp8=330.3,
            tf32=82.6,
            fp32=82.6,
            bandwidth=1008,
            memory=24,
            source="NVIDIA Ada GPU architecture white paper, float32 accumulation, values without sparsity",
        ),
        _device(
            "rtx_5090",
            r"NVIDIA GeForce RTX 5090",
            half=209.5,
            fp8=419,
            fp4=1676,
            tf32=104.8,
            fp32=104.8,
            bandwidth=1792,
            memory=32,
            source="NVIDIA RTX Blackwell GPU architecture white paper, float32 accumulation, values without sparsity",
        ),
        _device(
            "rtx_3090",
            r"NVIDIA GeForce RTX 3090",
            half=71,
            tf32=35.6,
            fp32=35.6,
            bandwidth=936,
            memory=24,
            source="NVIDIA Ampere GA102 GPU architecture white paper, float32 accumulation, values without sparsity",
        ),
    ]
