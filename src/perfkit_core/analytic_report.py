"""From a cost tree to the persisted analytic report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from perfkit_core.costtree import CostTree, ModuleCost, Node
from perfkit_core.ops import Op
from perfkit_core.schema.analytic import (
    AnalyticReport,
    CategoryRecord,
    ModuleRecord,
    OpRecord,
    StageRecord,
    Totals,
)

_WITHOUT_PATH_AND_OPS = attrgetter(*(name for name in ModuleRecord.model_fields if name not in {"path", "ops"}))


def analytic_report(
    tree: CostTree,
    *,
    model: str,
    variant: str,
    workload: str,
    parameters: Mapping[str, int | float | bool | str | None],
) -> AnalyticReport:
    """Return the report of ``tree``; every number is an exact integer of any size.

    Args:
        parameters: Resolved model and workload parameters.
    """
    records = tuple(module_records(tree.rows()))
    return AnalyticReport(
        model=model,
        variant=variant,
        workload=workload,
        architecture=tree.architecture,
        parameters=dict(parameters),
        geometry=dict(tree.geometry),
        totals=totals(tree),
        stages=tuple(_stages(tree)),
        categories=tuple(categories(records)),
        modules=records,
        notes=tuple(tree.notes),
        not_modelled=tuple(tree.not_modelled),
    )


def totals(tree: CostTree) -> Totals:
    """Return the sums over the whole run and its memory."""
    total = tree.total()
    return Totals(
        flops=total.flops,
        elementwise_flops=total.elementwise_flops,
        parameters=total.parameters,
        weight_bytes=total.weight_bytes,
        bytes_read=total.bytes_read,
        bytes_written=total.bytes_written,
        kv_cache_bytes=tree.memory.kv_cache_bytes,
        peak_memory_bytes=tree.memory.peak_bytes,
    )


def _stages(tree: CostTree) -> Iterable[StageRecord]:
    for name, node in tree.stages:
        cost = node.inclusive
        yield StageRecord(
            path=name,
            calls=node.calls,
            flops=cost.flops,
            elementwise_flops=cost.elementwise_flops,
            bytes_read=cost.bytes_read,
            bytes_written=cost.bytes_written,
            parameters=cost.parameters,
            weight_bytes=cost.weight_bytes,
            peak_activation_bytes=tree.memory.activation_bytes.get(name, 0),
            resident_weight_bytes=tree.memory.resident(name),
            peak_memory_bytes=tree.memory.peak(name),
        )


def categories(records: Iterable[ModuleRecord]) -> list[CategoryRecord]:
    """Return own FLOPs and bytes per category, most FLOPs first; categories without any are left out."""
    flops: dict[str, int] = {}
    nbytes: dict[str, int] = {}
    for record in records:
        for name, own in record.by_category().items():
            flops[name] = flops.get(name, 0) + own[0]
            nbytes[name] = nbytes.get(name, 0) + own[1]
    all_flops, all_bytes = sum(flops.values()), sum(nbytes.values())
    names = sorted((name for name in flops if flops[name] or nbytes[name]), key=lambda name: (-flops[name], name))
    return [
        CategoryRecord(
            name=name,
            flops=flops[name],
            share=flops[name] / all_flops if all_flops else 0.0,
            bytes=nbytes[name],
            bytes_share=nbytes[name] / all_bytes if all_bytes else 0.0,
        )
        for name in names
    ]


def module_records(rows: Sequence[ModuleCost]) -> list[ModuleRecord]:
    """Return one record per row; what identical modules share is built and checked once."""
    first: dict[int, ModuleRecord] = {}
    records: list[ModuleRecord] = []
    for path, node in rows:
        known = first.get(id(node))
        if known is None:
            ops = tuple(OpRecord.model_validate(op_values(op)) for op in node.ops)
            known = first[id(node)] = ModuleRecord.model_validate({"path": path, **module_values(node), "ops": ops})
            records.append(known)
        else:
            records.append(known.model_copy(update={"path": path}))
    return records


def report_text(report: AnalyticReport) -> str:
    """Return the report as JSON with one module per line; lines that differ in the path alone are made once."""
    rest: dict[tuple[Any, ...], str] = {}
    lines: list[str] = []
    for module in report.modules:
        key = (id(module.ops), *_WITHOUT_PATH_AND_OPS(module))
        known = rest.get(key)
        if known is None:
            known = rest[key] = module.model_dump_json(exclude={"path"})[1:]
        lines.append(f'{{"path":{json.dumps(module.path)},{known}')
    head = report.model_dump_json(exclude={"modules"}, indent=1).removesuffix("\n}")
    return f'{head},\n "modules": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def module_values(node: Node) -> dict[str, Any]:
    """Return the values of one module as plain data, without its path and operations."""
    own, inclusive = node.own, node.inclusive
    return {
        "kind": node.kind,
        "category": node.category,
        "calls": node.calls,
        "flops": inclusive.flops,
        "own_flops": own.flops,
        "elementwise_flops": inclusive.elementwise_flops,
        "own_elementwise_flops": own.elementwise_flops,
        "parameters": inclusive.parameters,
        "own_parameters": own.parameters,
        "weight_bytes": inclusive.weight_bytes,
        "own_weight_bytes": own.weight_bytes,
        "bytes_read": inclusive.bytes_read,
        "own_bytes_read": own.bytes_read,
        "bytes_written": inclusive.bytes_written,
        "own_bytes_written": own.bytes_written,
        "activation_bytes": inclusive.activation_bytes,
        "own_activation_bytes": own.activation_bytes,
    }


def op_values(op: Op) -> dict[str, Any]:
    """Return one operation as plain data; FLOPs and bytes of all its calls."""
    return {
        "kind": op.kind,
        "name": op.name,
        "dims": dict(op.dims),
        "dtype": op.dtype,
        "calls": op.calls,
        "flops": op.flops * op.calls,
        "bytes_read": op.bytes_read * op.calls,
        "bytes_written": op.bytes_written * op.calls,
        "category": op.category,
    }
