"""``offload=stage``: a network is on the device only while its stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class HostCopy:
    """The weights of one network in host memory, and a way to lend them to the device.

    Inference changes no weight, so returning from the device is forgetting the copy there.

    Args:
        module: The network; its tensors are in host memory.
        device: Where it runs. On ``cpu`` nothing needs to move.
    """

    def __init__(self, module: Any, device: str) -> None:
        self._device = device
        # Page-locked memory lets the copy run at the speed of the bus.
        self._pinned = device.startswith("cuda")
        self._tensors: list[tuple[Any, Any]] = []
        for tensor in _distinct(module):
            tensor.data = self._host(tensor.data)  # at once, so that the host never holds two copies of a network
            self._tensors.append((tensor, tensor.data))

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Hold the weights on the device for the time of the block."""
        for tensor, host in self._tensors:
            tensor.data = host.to(self._device, non_blocking=self._pinned)
        try:
            yield
        finally:
            self._forget()

    def _host(self, data: Any) -> Any:
        return data.cpu().pin_memory() if self._pinned else data

    def _forget(self) -> None:
        for tensor, host in self._tensors:
            tensor.data = host


def _distinct(module: Any) -> list[Any]:
    """Return every parameter and buffer once, tied ones too."""
    return [*module.parameters(), *module.buffers()]
