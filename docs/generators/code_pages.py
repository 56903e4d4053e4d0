"""``hooks.md`` and ``cost-tree.md``: what a plugin returns and builds, from signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

from generators.docstrings import block, inline, parse
from perfkit_core import backend, costtree, hookspecs, importer, ops, options, reference, regions, specs, workload
from perfkit_core.plugins import HOOKS

SPECS: tuple[type, ...] = (
    specs.ModelSpec,
    specs.VariantSpec,
    specs.ModelRequest,
    specs.WorkloadSpec,
    specs.AnalyticSpec,
    specs.BackendSpec,
    specs.DeviceSpec,
    workload.BuildContext,
    backend.RunContext,
    backend.InstrumentContext,
    backend.MeasureOptions,
    backend.Pass,
    backend.Machine,
    backend.Gpu,
    specs.ExporterSpec,
    specs.ImporterSpec,
    importer.ImportContext,
    importer.Imported,
    reference.Reference,
    reference.ReferenceCall,
)
"""Every class a plugin fills in or is given, in reading order."""

TREE: tuple[type, ...] = (
    costtree.CostTree,
    costtree.Node,
    costtree.Parameter,
    costtree.MemoryEstimate,
    costtree.Cost,
    ops.Tensor,
    ops.Op,
)


HOOKS_INTRODUCTION = """# Hooks and specs

Generated from `perfkit_core.hookspecs`, `perfkit_core.specs` and `perfkit_core.reference`. A plugin is a module with
functions of these names, marked with `perfkit_core.hookimpl`. Each takes no argument and returns a list; the objects in
it are frozen and take keyword arguments only. [Write a plugin](write-a-plugin.md) shows them at work.
"""


HOOKS_NAMES = """Names match `^[a-z][a-z0-9_]*$`. A workload name is unique per model, every other name per kind. When
two distributions use one name it is refused, and `distribution:name` selects one of them."""


def hooks_page() -> str:
    """Return ``hooks.md``."""
    lines = [
        HOOKS_INTRODUCTION,
        "| hook | returns | what |",
        "|---|---|---|",
    ]
    for hook, (_, kind) in HOOKS.items():
        text = parse(getattr(hookspecs, hook)).text
        lines.append(f"| `{hook}` | list of [`{kind.__name__}`](#{kind.__name__.lower()}) | {inline(text)} |")
    lines += [
        "",
        HOOKS_NAMES,
    ]
    for kind in SPECS:
        lines += _dataclass(kind)
        if kind is specs.BackendSpec:
            lines += _methods(backend.ProfilerBackend)
        if kind is workload.BuildContext:
            lines += _methods(workload.Workload)
            lines += _methods(regions.Regions)
            lines += _methods(regions.Recorder)
    lines += _plain_class(options.Options)
    return "\n".join(lines) + "\n"


def cost_tree_page() -> str:
    """Return ``cost-tree.md``."""
    lines = [
        "# Cost trees and operations\n",
        "Generated from `perfkit_core.costtree` and `perfkit_core.ops`, which an analytic model is built from.",
    ]
    for kind in TREE:
        lines += _dataclass(kind)
    lines += ["", "## Operations", "", block(parse(ops).text), ""]
    lines += ["| element type | bytes |", "|---|---:|"]
    lines += [f"| `{name}` | {size} |" for name, size in ops.DTYPE_BYTES.items()]
    for function in _functions():
        lines += ["", f"### {function.__name__}", "", "```python", _signature(function), "```", ""]
        found = parse(function)
        lines.append(block(found.text))
        for section in ("Args", "Returns", "Raises"):
            lines += [f"- `{name}`: {inline(text)}" for name, text in found.sections.get(section, {}).items()]
    return "\n".join(lines) + "\n"


def _functions() -> list[Callable[..., Any]]:
    """Every public function of ``ops``, in source order."""
    found = [value for name, value in vars(ops).items() if inspect.isfunction(value) and not name.startswith("_")]
    return [function for function in found if function.__module__.startswith(f"{ops.__name__}.")]


def _dataclass(kind: type) -> list[str]:
    found = parse(kind)
    lines = [f"\n## {kind.__name__}\n", f"`from {kind.__module__} import {kind.__name__}`\n", block(found.text), ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, type_, default in _fields(kind):
        lines.append(f"| `{name}` | {type_} | {default} | {inline(found.entry(name))} |")
    return lines


def _fields(kind: type) -> list[tuple[str, str, str]]:
    """Name, type and default of every field of a dataclass, a named tuple or a constructor."""
    if dataclasses.is_dataclass(kind):
        return [(item.name, _type(item.type), _default(item)) for item in dataclasses.fields(kind)]
    parameters = list(inspect.signature(kind).parameters.values())
    return [
        (item.name, _type(item.annotation), "" if item.default is item.empty else f"`{item.default!r}`")
        for item in parameters
    ]


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"ForwardRef\('([^']*)'[^)]*\)", r"\1", text)
    return "`" + text.replace("|", "\\|") + "`"


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        value = item.default.__name__ if isinstance(item.default, type) else repr(item.default)
        return f"`{value}`"
    if item.default_factory is not dataclasses.MISSING:
        return f"`{item.default_factory()!r}`"
    return ""


def _methods(kind: type) -> list[str]:
    lines = [
        f"\n## {kind.__name__}\n",
        f"`from {kind.__module__} import {kind.__name__}`\n",
        block(parse(kind).text),
        "",
    ]
    lines += ["| method | what |", "|---|---|"]
    for name, method in vars(kind).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            lines.append(f"| `{_signature(method).removeprefix('def ')}` | {inline(parse(method).text)} |")
    return lines


def _plain_class(kind: type) -> list[str]:
    return [f"\n## {kind.__name__}\n", f"`from {kind.__module__} import {kind.__name__}`\n", block(parse(kind).text)]


def _signature(function: Callable[..., Any]) -> str:
    text = str(inspect.signature(function)).replace("'", "")
    return f"def {function.__name__}{text}"
