"""Telling ncu which launches to measure: names of kernels, and instances of regions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from perfkit_core.schema.regions import KernelRow
from perfkit_nsight.results import OWN_DOMAIN
from perfkit_nsight.work_groups import Group, Place

UNLIKE = 4
"""First instances of a region that are measured besides one from the middle, where its kernels differ by instance."""


MOST = 4
"""Launches of one kernel with one geometry that are worth measuring, in one instance of a region or in a program."""

_UNEVEN = 2
"""How many times the mean a region's instance may hold of a kernel that not all instances hold alike."""


class Expected(NamedTuple):
    """What ncu will measure.

    Attributes:
        launches: How many.
        seconds: Time of these kernels, once each.
        each: Limit for every kernel with one geometry; None where all are measured that the process shows.
    """

    launches: int
    seconds: float
    each: int | None


class _Row(NamedTuple):
    """A kernel in one region: launches in the chosen instances, those worth measuring, mean time in nanoseconds."""

    config: tuple[str, str, str]
    shown: int
    worth: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What the choice of launches follows from.

    Attributes:
        kernels: Kernels of the timeline where they may be measured.
        instances: How often each region was opened on the timeline.
        symbols: Mangled names, by name as the timeline has it.
        samples: Whether the process can say when it is in a region that is to be measured.
        most: Launches of one kernel with one geometry to measure in one instance of a region; of a whole program that
            cannot say when it is in one, so many are measured.
    """

    kernels: Sequence[KernelRow]
    instances: Mapping[Place, int]
    symbols: Mapping[str, str]
    samples: bool
    most: int = MOST

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

    def expected(self, groups: Sequence[Group]) -> Expected:
        """Return what will be measured; a kernel is, wherever its name and region are chosen, for whatever group.

        All launches in the chosen instances are, unless a few of each kernel are far fewer: a region that was not
        looked into may hold thousands.
        """
        shown: Counter[tuple[str, str, str]] = Counter()
        worth: Counter[tuple[str, str, str]] = Counter()
        time: Counter[tuple[str, str, str]] = Counter()
        for row in self._rows(groups):
            shown[row.config] += row.shown
            worth[row.config] += row.worth
            time[row.config] += round(row.shown * row.mean)
        each = max(worth.values(), default=1) if self.samples else self.most
        limited = {config: min(number, each) for config, number in shown.items()}
        if self.samples and shown.total() <= 2 * sum(limited.values()):
            return Expected(shown.total(), time.total() / 1e9, None)
        seconds = sum(time[config] / shown[config] * number for config, number in limited.items()) / 1e9
        return Expected(sum(limited.values()), seconds, each)

    @cached_property
    def _patterned(self) -> Sequence[tuple[KernelRow, str]]:
        """Kernels that ran, with their patterns."""
        return [(row, pattern(row.name, row.short_name, self.symbols)) for row in self.kernels if row.calls]

    def _rows(self, groups: Sequence[Group]) -> Iterator[_Row]:
        patterns, sample = self.patterns(groups), self.sample(groups)
        for row, own in self._patterned:
            if own not in patterns:
                continue
            config, mean = (row.name, row.grid, row.block), row.total_ns / row.calls
            if not self.samples:
                yield _Row(config, row.calls, row.calls, mean)
            elif row.region in sample and (row.domain == OWN_DOMAIN or not row.region):
                place = (row.domain if row.region else "", row.region)
                instances, chosen = self.instances.get(place, 1), len(sample[row.region])
                once = math.ceil(row.calls / instances)
                most = once if row.calls % instances == 0 else _UNEVEN * once
                yield _Row(config, min(row.calls, most * chosen), min(row.calls, min(once, self.most) * chosen), mean)


def function_of(name: str) -> str:
    """Return the name of a kernel's function without scope, template arguments and parameters."""
    text = re.sub(r"\(anonymous namespace\)|<unnamed>", "anonymous", name).replace("->", "")
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
    return _by_function(short_name or name)


@lru_cache(maxsize=10_000)
def _by_function(name: str) -> str:
    function = function_of(name)
    return f"{re.escape(function)}|_Z.*{len(function)}{re.escape(function)}.*"


def selection(patterns: Sequence[str]) -> str:
    """Return the expression for ``ncu --kernel-name-base mangled -k``; without patterns, all but NCCL's kernels.

    Compared with mangled names, because ncu then tells template arguments apart when it measures each launch once.
    """
    if not patterns:
        return "regex:^(?!.*[nN][cC][cC][lL]).*$"
    return f"regex:^({'|'.join(patterns)})$"
