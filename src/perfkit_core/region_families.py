"""Recorded regions that stand in equal places of equal blocks, as one row: ``blocks.*/attn1`` instead of forty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from perfkit_core.families import merged_names
from perfkit_core.recorded import OWN_DOMAIN
from perfkit_core.schema.regions import RegionRow

FamilyNames = Mapping[tuple[str, str], str]
"""Family name by domain and path."""


class RegionFamily(NamedTuple):
    """Regions of one domain that were opened equally often and ran equally many kernels.

    Attributes:
        domain: NVTX domain.
        name: Region path with the indices of equal siblings replaced.
        rows: The members, in order of first appearance.
    """

    domain: str
    name: str
    rows: tuple[RegionRow, ...]

    @property
    def instances(self) -> int | None:
        """How often each member was opened; None where the profiler does not tell."""
        return self.rows[0].instances

    @property
    def is_stage(self) -> bool:
        """Whether it is a stage of a workload, or a region of perfkit's own at the top."""
        return self.domain == OWN_DOMAIN and "/" not in self.name

    def total(self, value: Callable[[RegionRow], int | None]) -> int | None:
        """Return a value added over the members; None where no profiler told it."""
        known = [found for row in self.rows if (found := value(row)) is not None]
        return sum(known) if known else None

    @property
    def inclusive_ns(self) -> int:
        """Kernel time of all members with everything inside, in nanoseconds."""
        return sum(row.inclusive_ns for row in self.rows)

    @property
    def exclusive_ns(self) -> int:
        """Kernel time of all members without the regions inside, in nanoseconds."""
        return sum(row.exclusive_ns for row in self.rows)

    @property
    def inclusive_kernels(self) -> int:
        """Kernels of all members with everything inside."""
        return sum(row.inclusive_kernels for row in self.rows)

    @property
    def busy_ns(self) -> int | None:
        """Time in which at least one kernel of a member runs, in nanoseconds; None where the profiler does not tell."""
        return self.total(lambda row: row.busy_ns)

    @property
    def idle_time(self) -> int | None:
        """Time in which nothing runs inside the members, in nanoseconds; None where the profiler does not tell."""
        return self.total(lambda row: row.idle_time)

    @property
    def host_time(self) -> int | None:
        """How long the ranges of all members were open, in nanoseconds; None where the profiler does not tell."""
        return self.total(lambda row: row.host_time)

    @property
    def host_time_each(self) -> int | None:
        """How long one of these ranges was open, in nanoseconds; None where the profiler does not tell."""
        opened = sum(row.instances or 0 for row in self.rows)
        return round(self.host_time / opened) if self.host_time is not None and opened else None

    @property
    def size(self) -> tuple[int, int, int]:
        """What families are ranked by: time of their work, processor time, time that their ranges were open."""
        work = sum(row.inclusive_ns + row.inclusive_copies_time + row.graphs.inclusive_time for row in self.rows)
        return work, sum(row.inclusive_cpu_time for row in self.rows), sum(row.host_time or 0 for row in self.rows)


def family_names_of(rows: Sequence[RegionRow]) -> FamilyNames:
    """Return the family name of every region, by domain and path.

    Args:
        rows: Regions over all processes and devices.
    """
    found: dict[tuple[str, str], str] = {}
    for domain in dict.fromkeys(row.domain for row in rows):
        here = sorted((row for row in rows if row.domain == domain), key=lambda row: row.path.count("/"))
        names = merged_names([(row.path, (row.instances, row.inclusive_kernels)) for row in here])
        found.update({(domain, path): name for path, name in names.items()})
    return found


def region_families(rows: Sequence[RegionRow]) -> tuple[RegionFamily, ...]:
    """Return equal regions as one: stages first, in the order in which they run, then the others, most time first."""
    names = family_names_of(rows)
    members: defaultdict[tuple[str, str], list[RegionRow]] = defaultdict(list)
    for row in rows:
        members[row.domain, names[row.domain, row.path]].append(row)
    found = [RegionFamily(domain, name, tuple(here)) for (domain, name), here in members.items()]
    others = sorted((one for one in found if not one.is_stage), key=lambda one: one.size, reverse=True)
    return (*(one for one in found if one.is_stage), *others)
