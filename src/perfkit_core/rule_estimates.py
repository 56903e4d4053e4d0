"""What a profiler's own rules estimate can be gained, by the time at stake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from perfkit_core.schema.counters import CounterKernel

LONGEST: Final = 400
"""Characters of a message at most; it ends with a sentence."""

_LINK: Final = re.compile(r"@url:([^:@]+):[^@]*@|@\w+:[^:@]*:([^@]+)@")
_SENTENCE: Final = re.compile(r"(?<=[.)]) (?=[A-Z])")


class Estimate(NamedTuple):
    """One rule's estimate for one kernel.

    Attributes:
        kernel: The kernel.
        percent: What can be saved, in percent.
        kind: Of the kernel's time (``global``), or of the part that the rule looks at (``local``); empty when unknown.
        rule: Its name.
        message: The first sentences of what it says, without links.
    """

    kernel: CounterKernel
    percent: float
    kind: str
    rule: str
    message: str


class Estimates(NamedTuple):
    """Estimates for some kernels.

    Attributes:
        shown: Those that can tell something, the largest product of kernel time and estimate first.
        left_out: How many there are of occupancy, for kernels that reach a peak as it is.
    """

    shown: tuple[Estimate, ...]
    left_out: int


def estimates_of(kernels: Iterable[CounterKernel], near_peak: float) -> Estimates:
    """Return the estimates for these kernels.

    More warps on an SM hide waiting; a kernel that keeps the SMs or memory busy as it is does not wait.

    Args:
        kernels: The kernels.
        near_peak: Share of a peak from which on a kernel is limited by it.
    """
    left_out = 0
    found: dict[tuple[int, str, str], Estimate] = {}
    for place, kernel in enumerate(kernels):
        busy = max(kernel.efficiency.compute_share or 0.0, kernel.efficiency.memory_share or 0.0) >= near_peak
        for rule in kernel.rules:
            if rule.speedup_percent is None or rule.speedup_percent <= 0:
                continue
            if busy and "occupancy" in rule.rule.casefold():
                left_out += 1
                continue
            one = Estimate(kernel, rule.speedup_percent, rule.speedup_type, rule.rule, _short(rule.message))
            key = place, rule.rule, rule.speedup_type  # of several launches, the one with most to gain
            if key not in found or found[key].percent < one.percent:
                found[key] = one
    ranked = sorted(
        found.values(), key=lambda one: (-one.percent * one.kernel.total_ns, one.kind != "global", one.rule)
    )
    return Estimates(tuple(ranked), left_out)


def _short(message: str) -> str:
    first, *others = _SENTENCE.split(_LINK.sub(lambda link: link[1] or link[2], " ".join(message.split())))
    for sentence in others:
        if len(first) + 1 + len(sentence) > LONGEST:
            break
        first = f"{first} {sentence}"
    return first if len(first) <= LONGEST else first[: LONGEST - 1].rstrip() + "…"
