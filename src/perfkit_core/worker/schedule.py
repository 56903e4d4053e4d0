"""Which runs of the workload a pass makes, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfkit_core.schema.worker import MeasurePlan


@dataclass(frozen=True, kw_only=True)
class ScheduledRun:
    """One run of the workload.

    Attributes:
        kind: ``warm-up``, ``run`` or, when it is made only to see inside, ``detailed run``.
        number: Position among the runs of its kind, from 1.
        of: Runs of its kind.
        detailed: Whether modules and what is inside iterations are seen.
    """

    kind: str
    number: int
    of: int
    detailed: bool

    @property
    def is_warmup(self) -> bool:
        """Whether its times do not count."""
        return self.kind == "warm-up"

    @property
    def left_out(self) -> str:
        """What to say when the time does not suffice for this one and those after it."""
        if self.kind == "run":
            return f"{self.number - 1} of {self.of} repeats: another would have passed the time limit"
        return "no times of single modules: one more run would have passed the time limit"


def schedule(plan: MeasurePlan) -> Iterator[ScheduledRun]:
    """Yield the runs of a pass: warm-up, the measured ones, then the detailed ones where they are runs of their own.

    Then the first warm-up run is detailed too: it finds out which modules are too deep to be seen.
    """
    always, apart = plan.detailed is None, plan.detailed or 0
    for number in range(1, plan.warmup + 1):
        detailed = always or (apart > 0 and number == 1)
        yield ScheduledRun(kind="warm-up", number=number, of=plan.warmup, detailed=detailed)
    for number in range(1, plan.repeats + 1):
        yield ScheduledRun(kind="run", number=number, of=plan.repeats, detailed=always)
    for number in range(1, apart + 1):
        yield ScheduledRun(kind="detailed run", number=number, of=apart, detailed=True)
