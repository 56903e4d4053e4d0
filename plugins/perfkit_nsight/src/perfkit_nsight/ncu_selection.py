"""Telling ncu which launches to measure: names of kernels, and instances of regions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from perfkit_core.schema.regions import KernelRow
from perfkit_nsight.results import OWN_DOMAIN
from perfkit_nsight.work_groups import Group, Place

UNLIKE = 4
"""First instances of a region that are measured besides one from the middle, where its kernels differ by instance."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What the choice of launches follows from.

    Attributes:
        kernels: Kernels of the timeline where they may be measured.
        instances: How often each region was opened on the timeline.
        symbols: Mangled names, by name as the timeline has it.
        samples: Whether the process can say when it is in a region that is to be measured.
    """

    kernels: Sequence[KernelRow]
    instances: Mapping[Place, int]
    symbols: Mapping[str, str]
    samples: bool

    def patterns(self, groups: Sequence[Group]) -> tuple[str, ...]:
        """Return regular expressions for the mangled names of all kernels of these groups."""
        return tuple(sorted({pattern(group.name, group.short_name, self.symbols) for group in groups}))

    def sample(self, groups: Sequence[Group]) -> dict[str, tuple[int, ...]]:
        """Return one region for each group, and the numbers of its instances to measure."""
        found: dict[str, set[int]] = {}
        for group in groups:
            place = next((one for one in group.regions if one[0] in (OWN_DOMAIN, "")), None)
            if place is not None:
                found.setdefault(place[1], set()).update(self._instances_of(group, place))
        return {path: tuple(sorted(found[path])) for path in sorted(found)}

    def _instances_of(self, group: Group, place: Place) -> Iterator[int]:
        """Yield one instance from the middle, which is most like the others; more where they are not all alike."""
        total = self.instances.get(place, 1)
        yield total // 2
        if group.calls % (total * len(group.regions)):
            yield from range(min(total, UNLIKE))

    def launches(self, groups: Sequence[Group]) -> Iterator[tuple[int, float]]:
        """Yield how many launches of each kernel will be measured, and their mean time in nanoseconds.

        A kernel is measured wherever its name and region are chosen, for whatever group they were.
        """
        patterns, sample = self.patterns(groups), self.sample(groups)
        seen: set[tuple[str, str, str]] = set()
        for row in self.kernels:
            if pattern(row.name, row.short_name, self.symbols) not in patterns:
                continue
            mean = row.total_ns / max(1, row.calls)
            if not self.samples:
                if (row.name, row.grid, row.block) not in seen:
                    seen.add((row.name, row.grid, row.block))
                    yield 1, mean
            elif row.region in sample and (row.domain == OWN_DOMAIN or not row.region):
                place = (row.domain if row.region else "", row.region)
                yield math.ceil(row.calls / self.instances.get(place, 1)) * len(sample[row.region]), mean


def function_of(name: str) -> str:
    """Return the name of a kernel's function without scope, template arguments and parameters."""
    text = re.sub(r"\(anonymous namespace\)|<unnamed>", "anonymous", name)
    depth, plain = 0, []
    for letter in text:
        depth += letter == "<"
        if depth == 0:
            plain.append(letter)
        depth -= letter == ">"
    words = "".join(plain).partition("(")[0].split()
    return words[-1].rpartition("::")[2] if words else name


def pattern(name: str, short_name: str, symbols: Mapping[str, str]) -> str:
    """Return the regular expression that selects a kernel by its mangled name."""
    if name in symbols:
        return re.escape(symbols[name])
    function = function_of(short_name or name)
    return f"{re.escape(function)}|_Z.*{len(function)}{re.escape(function)}.*"


def selection(patterns: Sequence[str]) -> str:
    """Return the expression for ``ncu --kernel-name-base mangled -k``; without patterns, all but NCCL's kernels.

    Compared with mangled names, because ncu then tells template arguments apart when it measures each launch once.
    """
    if not patterns:
        return "regex:^(?!.*[nN][cC][cC][lL]).*$"
    return f"regex:^({'|'.join(patterns)})$"
