"""Clocks and power of the GPU around each pass, and why it lowered its clock: peaks hold at a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from perfkit_core import rundir
from perfkit_core.rundir import Run
from perfkit_core.schema.run import GpuRecord
from perfkit_core.schema.session import Session

_REASONS: Final[Mapping[int, str]] = {
    0x1: "idle",
    0x2: "application clocks set",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks set",
}
"""Bits of NVML's clocks throttle reasons (``nvmlClocksThrottleReason…`` of NVML's API reference)."""

_LOWERING: Final = 0xEE | 0x10
"""Those that keep the clock below what it could be; an idle GPU and a display do not concern work."""


class PassState(NamedTuple):
    """The GPU before and after one pass.

    Attributes:
        name: Directory of the pass; empty for what the run has of its last one alone.
        gpu: What NVML told.
    """

    name: str
    gpu: GpuRecord

    @property
    def text(self) -> str:
        """Clock and power before and after it, and why the clock was lowered."""
        parts = [_both(self.gpu, "sm_clock_mhz", 1, "MHz"), _both(self.gpu, "power_mw", 1000, "W")]
        now = [f"{when}: {words(state['throttle_reasons'])}" for when, state in _states(self.gpu)]
        return ", ".join([one for one in parts if one] + now)

    @property
    def lowered(self) -> str:
        """Why its clock was lowered, in words; empty where it was not."""
        seen = 0
        for _, state in _states(self.gpu):
            seen |= state["throttle_reasons"] & _LOWERING
        return words(seen)


def pass_states(run: Run) -> tuple[PassState, ...]:
    """Return the GPU's state around each pass that recorded it; of the last one where passes have no records."""
    found = []
    for one in run.index.passes:
        named = f"{one.directory}/{rundir.SESSION}"
        if one.directory and run.has(named):
            device = rundir.read_record(run.path / named, Session).device
            if device.gpu is not None:
                found.append(PassState(one.directory, device.gpu))
    environment = run.environment if not found and run.index.kind != "import" else None
    if environment is not None and environment.device is not None and environment.device.gpu is not None:
        found.append(PassState("", environment.device.gpu))
    return tuple(one for one in found if one.text)


def words(reasons: int) -> str:
    """Return reasons of a lowered clock in words; empty for none."""
    known = [text for bit, text in _REASONS.items() if reasons & bit]
    rest = reasons & ~sum(_REASONS)
    return " and ".join([*known, *([f"reason {rest:#x}"] if rest else [])])


def lowered(states: tuple[PassState, ...]) -> str:
    """Return why and in which pass the clock was lowered; empty where it was not, or is not known."""
    return "; ".join(f"{one.lowered} in {one.name or 'the last pass'}" for one in states if one.lowered)


def _states(gpu: GpuRecord) -> Iterator[tuple[str, dict[str, int]]]:
    for when, state in (("before", gpu.before), ("after", gpu.after)):
        if state.get("throttle_reasons"):
            yield f"clock lowered {when}" if state["throttle_reasons"] & _LOWERING else when, state


def _both(gpu: GpuRecord, name: str, scale: int, unit: str) -> str:
    states = (("before", gpu.before), ("after", gpu.after))
    return ", ".join(f"{round(state[name] / scale)} {unit} {when}" for when, state in states if name in state)
