"""Repeated modules as one row: ``denoise/step/transformer/blocks.*/attn1`` instead of forty lines.

Only equal siblings are merged. ``blocks.0`` … ``blocks.39`` become ``blocks.*`` when all of them cost the
same; where only some do, the indices are named: ``layers.[1-11]``. Values are sums over the members, so
a table of families adds up exactly like a table of modules.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from perfkit_core.schema.analytic import ModuleRecord

_NUMBERED = re.compile(r"(.+)\.(\d+)")


class Family(NamedTuple):
    """Modules that stand in equal places of equal blocks.

    Attributes:
        name: Region path with the indices of equal siblings replaced.
        category: Category of the members; several are joined by a comma.
        modules: Number of members.
        flops: Own FLOPs of all members.
        flops_share: Part of all FLOPs of the run, 0 to 1.
        bytes: Own bytes read and written by all members.
        bytes_share: Part of all bytes of the run, 0 to 1.
    """

    name: str
    category: str
    modules: int
    flops: int
    flops_share: float
    bytes: int
    bytes_share: float

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte moved; None when nothing is moved."""
        return self.flops / self.bytes if self.bytes else None


def families(modules: Sequence[ModuleRecord]) -> tuple[Family, ...]:
    """Return every family, in the order in which its first member is called."""
    names = family_names(modules)
    members: dict[str, list[ModuleRecord]] = {}
    for module in modules:
        members.setdefault(names[module.path], []).append(module)
    all_flops = sum(module.own_flops for module in modules)
    all_bytes = sum(_own_bytes(module) for module in modules)
    return tuple(_family(name, found, all_flops, all_bytes) for name, found in members.items())


def _family(name: str, members: Sequence[ModuleRecord], all_flops: int, all_bytes: int) -> Family:
    flops = sum(module.own_flops for module in members)
    nbytes = sum(_own_bytes(module) for module in members)
    return Family(
        name=name,
        category=", ".join(dict.fromkeys(module.category for module in members)),
        modules=len(members),
        flops=flops,
        flops_share=flops / all_flops if all_flops else 0.0,
        bytes=nbytes,
        bytes_share=nbytes / all_bytes if all_bytes else 0.0,
    )


def _own_bytes(module: ModuleRecord) -> int:
    return module.own_bytes_read + module.own_bytes_written


def family_names(modules: Sequence[ModuleRecord]) -> dict[str, str]:
    """Return the family name of every path."""
    return merged_names([(module.path, _signature(module)) for module in modules])


def merged_names(places: Sequence[tuple[str, Hashable]]) -> dict[str, str]:
    """Return the family name of every path.

    Args:
        places: Paths, parents first, each with what must be the same of equal siblings.
    """
    labels = _segment_labels(places)
    names: dict[str, str] = {}
    for path, _ in places:
        parent, slash, segment = path.rpartition("/")
        # Paths come parents first; one whose parent is not there keeps the parent's path as it is.
        names[path] = names.get(parent, parent) + slash + labels.get(path, segment)
    return names


def _segment_labels(places: Sequence[tuple[str, Hashable]]) -> dict[str, str]:
    """Return the last segment of every path that has equal siblings, with its index replaced."""
    siblings: dict[str, list[tuple[int, str, Hashable]]] = {}
    for path, signature in places:
        numbered = _NUMBERED.fullmatch(path)
        if numbered and "/" not in numbered[2]:
            siblings.setdefault(numbered[1], []).append((int(numbered[2]), path, signature))
    labels: dict[str, str] = {}
    for stem, found in siblings.items():
        segment = stem.rpartition("/")[2]
        groups: dict[Hashable, list[tuple[int, str]]] = {}
        for index, path, signature in found:
            groups.setdefault(signature, []).append((index, path))
        for group in groups.values():
            if len(group) > 1:
                label = "*" if len(groups) == 1 else f"[{_ranges(index for index, _ in group)}]"
                labels |= {path: f"{segment}.{label}" for _, path in group}
    return labels


def _signature(module: ModuleRecord) -> tuple[object, ...]:
    """What makes two modules equal: everything but the path."""
    return (
        module.kind,
        module.category,
        module.calls,
        module.flops,
        module.elementwise_flops,
        module.parameters,
        module.bytes_read,
        module.bytes_written,
        module.own_flops,
    )


def _ranges(indices: Iterable[int]) -> str:
    """``[0, 1, 2, 5]`` as ``0-2,5``."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
