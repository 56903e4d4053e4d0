"""The measured side of a workload: real inputs, and one whole run over the real modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.regions import Regions
    from perfkit_core.specs import ModelRequest


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """What ``WorkloadSpec.build`` is given.

    Attributes:
        request: Variant, options, checkpoint, device and seed of the model.
        options: Validated workload parameters.
        components: What ``ModelSpec.load`` returned for ``request``: the real modules on the device, by name.
        device: ``cpu`` or ``cuda:N``.
        seed: Seed of everything random in the inputs.
    """

    request: ModelRequest
    options: Options
    components: Mapping[str, Any]
    device: str
    seed: int


class Workload(ABC):
    """One workload, ready to be run several times. Lives in the worker process, where torch is."""

    def prepare(self) -> None:  # noqa: B027 - a workload without inputs has nothing to prepare
        """Make the inputs and put them on the device; reading and tokenising belongs here, outside every timing."""

    @abstractmethod
    def step(self, regions: Regions) -> None:
        """Run the whole workload once, from the prepared inputs to its result.

        Every run must do the same work. Nothing needs to be synchronised here, and no gradient is recorded.

        Args:
            regions: Names the parts of the run; the first segment of every path is a stage.
        """

    def save(self, directory: Path) -> None:  # noqa: B027 - most workloads have nothing worth keeping
        """Write the workload's results into ``directory``, which exists; the run's index lists whatever is there.

        Called once, after the last run and outside every timing, where no profiler watches.
        """

    def close(self) -> None:  # noqa: B027 - most workloads hold nothing but memory
        """Release what ``prepare`` acquired."""

    def units(self) -> Mapping[str, float]:
        """Return what one whole run produces, by unit, such as ``{"frames": 81, "videos": 1}``; for throughput.

        Loops that are sampled count in full.
        """
        return {}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Return every input as plain values: path, size, bytes and checksum of files, or generator and seed."""
        return ()
