"""Paths of regions: which instances are of the same region, and what it is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from perfkit_nsight.capture import Numbers
from perfkit_nsight.nsys_columns import encoded
from perfkit_nsight.ranges import OUTSIDE, Forest

if TYPE_CHECKING:
    from collections.abc import Sequence

UNNAMED: Final = "(unnamed)"
"""Segment of a path for a range without a name."""

_AUTOGRAD = re.compile(r"(?:, (?:seq|op_id) = -?\d+)+(, sizes = .*?)?(?:, input_op_ids = .*)?$", re.DOTALL)
"""What PyTorch appends to the names of its own ranges; the sizes say something, the rest is new every time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Paths:
    """Regions, a row each; parents stand before their children.

    Attributes:
        of_node: Position of every instance's region.
        stack: For every region its names, outermost first.
        domain: Position of every region's domain in ``Capture.domains``.
    """

    of_node: Numbers
    stack: tuple[tuple[str, ...], ...]
    domain: Numbers


def segment(name: str) -> str:
    """Return a range's name as part of a path: without PyTorch's numbers, "/" written ``%2F``."""
    return grouped(name).replace("/", "%2F") or UNNAMED


def grouped(name: str) -> str:
    """Return the name of a range without the numbers that PyTorch's autograd appends to it."""
    return _AUTOGRAD.sub(r"\1", name) if " = " in name else name


def paths_of(forest: Forest, name: Numbers, names: Sequence[str]) -> Paths:
    """Find the distinct stacks of names.

    Args:
        forest: Instances.
        name: For every range the number of its name.
        names: The names; equal ones are one.
    """
    import numpy as np

    distinct = {text: place for place, text in enumerate(dict.fromkeys(names))}
    texts = tuple(distinct)
    renamed = np.array([distinct[text] for text in names], dtype=np.int64)
    own = renamed[name[forest.row]] if len(forest.row) else forest.row
    of_node = np.full(len(own), OUTSIDE, dtype=np.int64)
    stacks: list[tuple[str, ...]] = []
    domains: list[int] = []
    by_depth = np.argsort(forest.depth, kind="stable")
    bounds = np.searchsorted(forest.depth[by_depth], np.arange(int(forest.depth.max(initial=-1)) + 2))
    for level in range(len(bounds) - 1):
        nodes = by_depth[bounds[level] : bounds[level + 1]]
        above = of_node[forest.parent[nodes]] if level else forest.domain[nodes]
        codes, keys = encoded(above * max(1, len(texts)) + own[nodes])
        of_node[nodes] = codes + len(stacks)
        found = [divmod(int(key), max(1, len(texts))) for key in keys]
        stacks += [(*(stacks[over] if level else ()), texts[last]) for over, last in found]
        domains += [domains[over] if level else over for over, _ in found]
    return Paths(of_node=of_node.astype(np.int32), stack=tuple(stacks), domain=np.array(domains, dtype=np.int64))
