"""Checks of the cost tree that a plugin returns, before anything is computed from it.

A value that is no plain integer would go unnoticed: numpy's 64-bit integers wrap around without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.errors import ToolError
from perfkit_core.ops import Op

_INTEGER = {int}
_COUNTS = tuple(name for name in Op._fields if name not in {"kind", "name", "dims", "dtype", "category"})
_PER_STAGE = ("activation_bytes", "resident_bytes", "stage_bytes")


def check_tree(tree: object, *, model: str) -> None:
    """Refuse what is no cost tree, and one whose numbers or paths cannot be right.

    Every number must be a Python ``int`` of at least 0, and the names below one node unique path segments.
    A node that stands in many places is looked at once.

    Args:
        tree: What the analytic model returned.
        model: Name of the model, for the error.

    Raises:
        ToolError: With the model and the path of the first problem.
    """
    try:
        problem = _problem(tree)
    except (TypeError, ValueError, AttributeError) as error:  # something in it is of another type altogether
        problem = f"a malformed cost tree: {error}"
    if problem:
        raise ToolError(f"the analytic model of {model!r} returned {problem}", fix="report it to the plugin's author")


def _problem(tree: object) -> str:
    if not isinstance(tree, CostTree):
        return f"{'None' if tree is None else type(tree).__name__}, not a CostTree"
    memory: object = tree.memory
    if not isinstance(memory, MemoryEstimate):
        return f"a cost tree whose memory is {type(memory).__name__}, not a MemoryEstimate"
    sizes = {name: value for name, value in memory._asdict().items() if name not in _PER_STAGE}
    found = (
        _number_problem("memory", sizes)
        or next(filter(None, (_number_problem(f"memory: {name}", getattr(memory, name)) for name in _PER_STAGE)), "")
        or _number_problem("geometry", tree.geometry)
    )
    return found or _children_problem("", tree.stages, set())


def _children_problem(path: str, children: Sequence[tuple[object, Node]], seen: set[int]) -> str:
    names: set[str] = set()
    where = f"{path!r}" if path else "the tree"
    for segment, node in children:
        if not isinstance(segment, str) or not segment or "/" in segment:
            return f"the name {segment!r} below {where}, which is not a path segment"
        if segment in names:
            return f"the name {segment!r} twice below {where}"
        names.add(segment)
        if id(node) in seen:
            continue
        seen.add(id(node))
        below = f"{path}/{segment}" if path else segment
        problem = _node_problem(below, node) or _children_problem(below, node.children, seen)
        if problem:
            return problem
    return ""


def _node_problem(path: str, node: object) -> str:
    if not isinstance(node, Node):
        return f"{type(node).__name__} at {path!r}, not a Node"
    ops: Sequence[object] = node.ops
    for op in ops:
        if not isinstance(op, Op):
            return f"{type(op).__name__} among the operations of {path!r}, not an Op"
        if not (_are_counts([getattr(op, name) for name in _COUNTS]) and _are_counts(op.dims.values())):
            counts = {name: getattr(op, name) for name in _COUNTS}
            return _number_problem(f"{path!r}: operation {op.name!r}", {**counts, **op.dims})
        if type(op.category) is not str:
            return f"category={op.category!s:.60} at {path!r}: operation {op.name!r}, not a text"
    if _are_counts((node.calls, *node.own)):
        return ""
    return _number_problem(f"{path!r}", {"calls": node.calls, **node.own._asdict()})


def _are_counts(values: Iterable[int]) -> bool:
    values = tuple(values)
    return set(map(type, values)) <= _INTEGER and min(values, default=0) >= 0


def _number_problem(where: str, values: Mapping[str, object]) -> str:
    """Return which of the values is no integer of at least 0, or an empty text."""
    for name, value in values.items():
        if type(value) is not int or value < 0:
            return f"{name}={value!s:.60} ({type(value).__name__}) at {where}, not an integer of at least 0"
    return ""
