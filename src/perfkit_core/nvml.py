"""State of one GPU through NVML: clocks, temperature, power, energy; nothing is known without its library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class GpuMonitor:
    """Reads one GPU.

    Args:
        uuid: Unique identifier as torch reports it, with or without its ``GPU-`` prefix.
    """

    def __init__(self, uuid: str) -> None:
        self._handle: Any = None
        self.driver = ""
        """Driver version; empty when unknown."""
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
            self.driver = str(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError:  # no permission, or a driver without this GPU: the values stay unknown
            self._handle = None

    def state(self) -> dict[str, int]:
        """Return what the GPU tells of clocks (MHz), temperature (°C), power (mW) and throttling (bit mask)."""
        if self._handle is None:
            return {}
        nvml, handle = self._nvml, self._handle
        readings: dict[str, Callable[[], int]] = {
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "power_mw": lambda: nvml.nvmlDeviceGetPowerUsage(handle),
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
        }
        found = {name: self._read(read) for name, read in readings.items()}
        return {name: value for name, value in found.items() if value is not None}

    def energy_mj(self) -> int | None:
        """Return the GPU's energy counter in millijoules; None when it has none."""
        if self._handle is None:
            return None
        return self._read(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))

    def _read(self, read: Callable[[], int]) -> int | None:
        try:
            return int(read())
        except self._nvml.NVMLError:  # this GPU does not report this value
            return None
