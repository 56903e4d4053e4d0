"""What the command-line tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TINY = ("--model", "wan2_1", "--variant", "tiny")


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


UNRULY = """
import os
from perfkit_core import hookimpl, ops
from perfkit_core.backend import ProfilerBackend
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.options import Options
from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.specs import (
    AnalyticSpec, BackendSpec, ExporterSpec, ModelSpec, VariantSpec, WorkloadSpec)


class Raises(ProfilerBackend):
    def __init__(self, error):
        self.error = error

    def collect(self, context):
        context.writer.write_text("early.txt", "collected before the fault")
        raise self.error


class Level(Options):
    level: int = 1


class Writes(ProfilerBackend):
    def collect(self, context):
        context.writer.write_json("level.json", {"level": context.options.level})


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class ExitsInCheck(Writes):
    def check(self, machine):
        raise SystemExit("no licence")


class NoList(Writes):
    def check(self, machine):
        return "broken"


class Prints(ProfilerBackend):
    def collect(self, context):
        print("by Python")
        os.write(1, b"by a library")
        os.system("echo by a child")


class Dies(ProfilerBackend):
    def collect(self, context):
        os._exit(9)


class Absent(ProfilerBackend):
    def check(self, machine):
        return ["the widget driver is not loaded"]

    def collect(self, context):
        raise AssertionError("never reached")


@hookimpl
def perfkit_backends():
    make = lambda name, factory, options=Options: BackendSpec(
        name=name, summary=name, factory=factory, options=options)
    return [
        make("exits", lambda: Raises(SystemExit(0))),
        make("unspeakable", lambda: Raises(Unspeakable())),
        make("exits_in_check", ExitsInCheck), make("no_list", NoList), make("no_backend", lambda: "profiler"),
        make("unbuilt", lambda: 1 / 0), make("prints", Prints),
        make("raises", lambda: Raises(RuntimeError("the widget\\nfell off"))),
        make("interrupted", lambda: Raises(KeyboardInterrupt())),
        make("dies", Dies), make("absent", Absent), make("writes", Writes, Level),
    ]


def fail_to_export(run, path, options):
    raise ValueError("no ink")


def export_to_text(run, path, options):
    path.write_text("-")
    return [str(path)]


def exits(*_):
    raise SystemExit(0)


EXPORTS = {
    "quits": exits,
    "boasts": lambda run, path, options: [path],
    "texts": export_to_text,
    "full": lambda run, path, options: (path / "below").write_text("-"),
    "returns_none": lambda run, path, options: None,
}


@hookimpl
def perfkit_exporters():
    return [
        ExporterSpec(name="inkless", summary="fails", suffix=".txt", export=fail_to_export),
        *(ExporterSpec(name=name, summary=name, suffix=".txt", export=export) for name, export in EXPORTS.items()),
    ]


def tree(rows, linear):
    node = Node("linear", "linear", 1, ops=[ops.linear(rows, 4, 4, "float32")])
    return CostTree((("stage", node),), MemoryEstimate(0, 0, {}, 0), {})


def broken(request, workload):
    raise ZeroDivisionError("division by zero")


def references(request, workload):
    import torch
    module = torch.nn.Linear(4, 4, device="meta")
    call = ReferenceCall(run=lambda module: module(torch.empty(8, 4, device="meta")))
    return [Reference(path="stage", module=module, calls=[call])]


def holding(value=1, segment="linear", calls=1):
    import numpy
    value = {"numpy": numpy.int64(9)}.get(value, value)
    child = Node("linear", "linear", calls, ops=[ops.linear(value, 4, 4, "float32")])
    node = Node("block", "block", 1, children=[(segment, child)])
    return CostTree((("stage", node),), MemoryEstimate(0, 0, {}, 0), {})


TREES = {
    "exits": exits,
    "nothing": lambda: None,
    "numpy_values": lambda: holding("numpy"),
    "negative_values": lambda: holding(-1),
    "fractions": lambda: holding(0.5),
    "slashes": lambda: holding(segment="a/b"),
    "no_calls": lambda: holding(calls=-1),
    "bad_memory": lambda: holding()._replace(memory=MemoryEstimate(True, 0, {}, 0)),
    "twice": lambda: holding()._replace(stages=(*holding().stages, *holding().stages)),
    "bad_dtype": lambda: ops.linear(1, 1, 1, "bf16"),
}
NAMES = ("wrong", "broken", *TREES)


@hookimpl
def perfkit_models():
    return [ModelSpec(name=name, summary=name, variants=[VariantSpec(name="only", summary="-")],
                      default_workload="plain", options=Options, load=lambda request: {}) for name in NAMES]


@hookimpl
def perfkit_workloads():
    return [WorkloadSpec(name="plain", model=name, summary="-", options=Options) for name in NAMES]


@hookimpl
def perfkit_analytic_models():
    return [
        AnalyticSpec(model="wrong", estimate=lambda request, workload: tree(9, 4), references=references),
        AnalyticSpec(model="broken", estimate=broken),
        *(AnalyticSpec(model=name, estimate=lambda request, workload, name=name: TREES[name]()) for name in TREES),
    ]
"""
