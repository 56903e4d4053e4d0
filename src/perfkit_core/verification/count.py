"""Counting one reference: FlopCounterMode for FLOPs, the tracer for bytes, ``numel()`` for parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from perfkit_core.errors import CheckFailed
from perfkit_core.reference import Reference
from perfkit_core.verification.tracer import AttentionMode, BytesTracer, module_stack

_ON_META = "build the reference on the meta device: with torch.device('meta'): ..."


@dataclass
class CountedModule:
    """What was counted in one real module, over the whole run.

    Attributes:
        calls: Calls of the module; 0 for one that only holds parameters; None for a root whose
            methods were called instead of the module itself.
        flops: Inclusive FLOPs, or None when the counter has no entry (no counted work).
        parameters: Inclusive ``numel()`` of distinct parameters, those of earlier references left out.
        nbytes: Own bytes by kind of operation.
    """

    calls: int | None
    flops: int | None = None
    parameters: int = 0
    nbytes: Counter[str] = field(default_factory=Counter)


class _Root(torch.nn.Module):
    """Calls a reference through a module, so that the counter's names are qualified and one-to-one."""

    def __init__(self, target: torch.nn.Module) -> None:
        super().__init__()
        self.target = target

    def forward(self, run: Any) -> None:
        run(self.target)


def count(reference: Reference, seen: dict[int, torch.nn.Parameter] | None = None) -> dict[str, CountedModule]:
    """Run every call of ``reference`` once and return what was counted, by region path.

    Args:
        seen: Parameters of earlier references by ``id``: one model called in two stages holds them once, in
            the first. Those of this reference are added.

    Raises:
        CheckFailed: The reference cannot be trusted: it is not on the meta device, or it computes with
            operators that FlopCounterMode does not see.
    """
    _check_meta(reference)
    root = _Root(reference.module).eval()
    flops: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    nbytes: Counter[tuple[str, str]] = Counter()
    for call in reference.calls:
        tracer, called = BytesTracer(), Counter[str]()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter, module_stack(root.target, tracer, called), AttentionMode(tracer), tracer:
            root(call.run)
        _check_trust(reference, tracer)
        for key, by_operator in counter.get_flop_counts().items():
            flops[key] += sum(by_operator.values()) * call.times
        for name, number in called.items():
            calls[name] += number * call.times
        for place, number in tracer.trace.items():
            nbytes[place] += number * call.times
    seen = {} if seen is None else seen
    counted = _collect(reference, root, flops, calls, nbytes, seen)
    seen.update((id(parameter), parameter) for parameter in root.parameters())
    return counted


def _collect(
    reference: Reference,
    root: _Root,
    flops: Counter[str],
    calls: Counter[str],
    nbytes: Counter[tuple[str, str]],
    seen: Mapping[int, torch.nn.Parameter],
) -> dict[str, CountedModule]:
    target, prefix = root.target, f"{type(root).__name__}.target."
    paths = region_paths(reference.path, [name for name, _ in target.named_modules()], set(calls))
    counted: dict[str, CountedModule] = {}
    held: set[int] = set(seen)
    for name, module in target.named_modules():
        if name in calls or not name:
            parameters = {id(item): item.numel() for item in module.parameters() if id(item) not in seen}
            held |= {id(parameter) for parameter in module.parameters(recurse=not name and not calls)}
            total = flops["Global"] if not name else flops.get(prefix + name)
            counted[paths[name]] = CountedModule(calls.get(name), total, sum(parameters.values()))
    for name, module in target.named_modules():
        own = list(module.parameters(recurse=False))
        if name and name not in calls and own:
            distinct = {id(parameter): parameter.numel() for parameter in own if id(parameter) not in held}
            counted[paths[name]] = CountedModule(0, None, sum(distinct.values()))
    for (name, kind), number in nbytes.items():
        counted[paths[name]].nbytes[kind] += number
    return counted


def region_paths(root: str, names: list[str], called: set[str]) -> dict[str, str]:
    """Return the region path of every qualified name: one segment per called module on the way.

    A segment is the module's qualified name relative to its nearest called ancestor.
    """
    paths = {"": root}
    for name in names:
        if not name:
            continue
        ancestor = name.rpartition(".")[0]
        while ancestor and ancestor not in called:
            ancestor = ancestor.rpartition(".")[0]
        segment = name[len(ancestor) + 1 :] if ancestor else name
        paths[name] = f"{paths[ancestor]}/{segment}"
    return paths


def _check_meta(reference: Reference) -> None:
    from torch._subclasses.fake_tensor import FakeTensor

    if not isinstance(reference.module, torch.nn.Module):
        raise CheckFailed(f"reference {reference.path} is no torch.nn.Module", fix=_ON_META)
    for name, tensor in [*reference.module.named_parameters(), *reference.module.named_buffers()]:
        if isinstance(tensor, FakeTensor):
            raise _untrusted(reference, f"{name} is a fake tensor, attention would count as 0", _ON_META)
        if tensor.device.type != "meta":
            raise _untrusted(reference, f"{name} is on {tensor.device}, attention would count as 0", _ON_META)


def _check_trust(reference: Reference, tracer: BytesTracer) -> None:
    if tracer.uncounted:
        names = ", ".join(sorted(tracer.uncounted))
        fix = "give a reference whose operators it counts (for experts: batched matrix products)"
        raise _untrusted(reference, f"FlopCounterMode counts {names} as 0", fix)
    if tracer.off_meta:
        raise _untrusted(reference, f"it computed on {', '.join(sorted(tracer.off_meta))}", _ON_META)


def _untrusted(reference: Reference, why: str, fix: str) -> CheckFailed:
    return CheckFailed(f"reference {reference.path} cannot be trusted: {why}", fix=fix)
