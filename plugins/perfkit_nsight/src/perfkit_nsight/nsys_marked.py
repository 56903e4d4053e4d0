"""Ranges that the processes marked against those that nsys recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perfkit_core.schema.regions import RegionsReport
from perfkit_nsight.results import OWN_DOMAIN

EMITTED = "nvtx*.json"
"""What the processes left that marked regions: how many ranges they closed."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """How many ranges of perfkit's domain were marked and recorded, by path.

    Attributes:
        sure: Closed by processes that ended by themselves: a recording has them all.
        unsure: Closed by processes that were killed, or that others started and may have killed.
        recorded: On the recording.
    """

    sure: Counter[str]
    unsure: Counter[str]
    recorded: Counter[str]

    @classmethod
    def of(cls, directory: Path, found: RegionsReport) -> Marked:
        """Return what the processes left in a pass's directory, and what its recording has."""
        sure: Counter[str] = Counter()
        unsure: Counter[str] = Counter()
        for path in directory.glob(EMITTED):
            record = json.loads(path.read_text(encoding="utf-8"))
            sure.update(record["ranges"])
            unsure.update(record.get("unsure", {}))
        rows = (row for row in found.regions if row.domain == OWN_DOMAIN and row.process is None)
        return cls(sure=sure, unsure=unsure, recorded=Counter({row.path: row.instances or 0 for row in rows}))

    @property
    def emitted(self) -> Counter[str]:
        """All that were closed."""
        return self.sure + self.unsure

    def lost(self) -> list[str]:
        """Return the paths of which the recording has fewer than it must."""
        return sorted(path for path in self.sure if self.recorded[path] < self.sure[path])

    def notes(self) -> Iterator[str]:
        """Yield what differs without being a fault."""
        fewer = self.emitted - self.recorded
        if fewer and not self.lost():
            yield (
                f"{fewer.total()} ranges of processes that were killed, or that others started, were not recorded, of "
                f"{self.emitted.total()} in all"
            )
        more = self.recorded - self.emitted
        if more and self.emitted:
            yield (
                f"{more.total()} more ranges were recorded in domain {OWN_DOMAIN} than perfkit_core.region closed: the "
                "program marks some itself, or was ended inside them"
            )
