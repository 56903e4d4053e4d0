"""Repeated modules as one row: ``denoise/step/transformer/blocks.*/attn1`` instead of forty lines.

Only equal siblings are merged. ``blocks.0`` … ``blocks.39`` become ``blocks.*`` when all of them cost the
same; where only some do, the indices are named: ``layers.[1-11]``. Values are sums over the members, so
a table of families adds up exactly like a table of modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    labels = _segment_labels(modules)
    names: dict[str, str] = {}
    for module in modules:
        parent, slash, segment = module.path.rpartition("/")
        # Rows come parents first; a path without its parent's row keeps the parent's path as it is.
        names[module.path] = names.get(parent, parent) + slash + labels.get(module.path, segment)
    return names


def _segment_labels(modules: Sequence[ModuleRecord]) -> dict[str, str]:
    """Return the last segment of every path that has equal siblings, with its index replaced."""
    siblings: dict[str, list[tuple[int, ModuleRecord]]] = {}
    for module in modules:
        numbered = _NUMBERED.fullmatch(module.path)
        if numbered and "/" not in numbered[2]:
            siblings.setdefault(numbered[1], []).append((int(numbered[2]), module))
    labels: dict[str, str] = {}
    for stem, found in siblings.items():
        segment = stem.rpartition("/")[2]
        groups: dict[tuple[object, ...], list[tuple[int, str]]] = {}
        for index, module in found:
            groups.setdefault(_signature(module), []).append((index, module.path))
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
