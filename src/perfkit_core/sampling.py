"""Which iterations of a long loop are measured, where not all of them are."""

from __future__ import annotations

MOST_BLOCKS = 4
"""Places in a long loop at which iterations are measured, where their cost changes along the way."""


def blocks(total: int, wanted: int, lead: int = 0) -> list[range]:
    """Return ``wanted`` of ``total`` positions as up to four equal blocks, spread so that their mean is that of all.

    Blocks, because what an iteration takes depends on the one before it: the host runs ahead of the device.

    Args:
        total: Positions there are, at least ``wanted``.
        wanted: Positions to choose.
        lead: Positions to leave free before the first block, where there is room.
    """
    lead = min(lead, (total - wanted) // 2)
    number = next(count for count in range(min(MOST_BLOCKS, wanted), 0, -1) if wanted % count == 0)
    size = wanted // number
    starts = [max(lead, ((2 * part + 1) * total // number - size) // 2) for part in range((number + 1) // 2)]
    starts = [max(start, lead + part * size) for part, start in enumerate(starts)]
    found = [range(start, start + size) for start in starts]
    # The second half mirrors the first, which centres the whole; an odd number has one in the middle.
    mirrored = [range(total - block.stop, total - block.start) for block in reversed(found[: number // 2])]
    return [*found, *mirrored]
