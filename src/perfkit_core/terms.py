"""What the words of the page mean, with the thresholds in force; a page explains those that it uses."""

from __future__ import annotations

from typing import Final, NamedTuple

from perfkit_core.rulers import REACHABLE
from perfkit_core.stage_table import LAUNCH_BOUND, LAUNCH_COST, NEAR_PEAK
from perfkit_core.units import format_share


class Term(NamedTuple):
    """A word of the page.

    Attributes:
        name: The word.
        signs: Texts of which one stands on a page that uses it.
        meaning: What it means.
    """

    name: str
    signs: tuple[str, ...]
    meaning: str

    def is_on(self, page: str) -> bool:
        """Whether a page uses it."""
        return any(sign in page for sign in self.signs)


TERMS: Final = (
    Term(
        "near peak, far from peak",
        ("near peak", "far from peak"),
        f"near from {format_share(NEAR_PEAK)} on, far below that, of the limit that binds: arithmetic or memory "
        "bandwidth, whichever takes longer at the device's peaks; arithmetic is held against the SMs' cycles where "
        "counters tell these",
    ),
    Term(
        "waits for launches, for the host",
        ("waits for launches", "waits for the host"),
        f"kernels run in less than {format_share(LAUNCH_BOUND)} of the time; for launches where at most "
        f"{1e6 * LAUNCH_COST:.0f} µs pass idle for each, for the host where more do",
    ),
    Term(
        "MFU",
        ("MFU |", "the MFU", "with an MFU"),
        "model FLOPs utilisation: FLOPs that the model needs, by unprofiled time and the dense peak of their types",
    ),
    Term(
        "SM",
        ("the SMs",),
        "streaming multiprocessor, a core of the GPU; their peak is of the cycles that there were, the data sheet's is "
        "at its own clock: where a power cap or heat lowers the clock, the first share is higher than the second",
    ),
    Term("FLOP/B", ("FLOP/B",), "FLOPs for each byte that has to be moved at least"),
    Term("ridge", ("ridge",), "FLOP/B from which on arithmetic and not memory bandwidth limits the device"),
    Term(
        "least time",
        ("least time",),
        "the longer of what FLOPs and least bytes take at the data sheet's peaks, which no kernel reaches in full",
    ),
    Term("useful work", ("useful work",), "FLOPs that the model needs by formula; kernels may execute more"),
    Term("counted", ("counted", "hardware counters"), "read from the GPU's hardware counters, kernel by kernel"),
    Term(
        "if it gets there",
        ("if it gets there",),
        f"if the kernels come to {format_share(REACHABLE)} of what they are held against",
    ),
)
"""All of them, in the order in which a page has them."""
