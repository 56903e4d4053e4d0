"""Backend ``ncu``: hardware counters of the kernels that make up most of the time, by Nsight Compute."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from perfkit_core.backend import (
    InstrumentContext,
    Machine,
    Pass,
    PassContext,
    RunContext,
    WrappingBackend,
)
from perfkit_core.errors import DamagedFileError, PerfkitError, ToolError
from perfkit_core.options import Options
from perfkit_nsight.environment import minimal_environment, program_environment
from perfkit_nsight.ncu_command import LOG, RANGES, REPORT, command, control
from perfkit_nsight.ncu_messages import RangeRefusedError, fault_of, words_of
from perfkit_nsight.ncu_metrics import Collection, collection
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.ncu_plan import MeasuringPlan, plan_kernels, plan_ranges
from perfkit_nsight.ncu_timeline import DEPTH, Timeline, finder, known_timeline
from perfkit_nsight.ncu_tool import HOW_TO_INSTALL, Trial, find_ncu, try_out, usable_ncu
from perfkit_nsight.profiler_range import measured_run, sampled

NCU = "ncu"
_PRINTED, _STDERR = "tool.txt", "stderr.txt"
"""What a tool in front of a program printed; the errors of a program, or of a worker with the tool's own."""

_log = logging.getLogger("perfkit.nsight")


class NcuBackend(WrappingBackend):
    """Finds the kernels that matter in one pass, and measures each distinct launch of them once in another."""

    def __init__(self) -> None:
        self._plan = MeasuringPlan()
        self._trial = Trial(passes=1, missing=frozenset())
        self._timeline: Timeline | None = None
        self._refused = ""

    def check(self, machine: Machine) -> Sequence[str]:
        """Return what keeps ncu from being used."""
        tool = find_ncu(machine.environ)
        if tool is None:
            return (f"ncu is not on this machine: {HOW_TO_INSTALL}",)
        if tool.problems:
            return tuple(f"{tool.path}: {problem}" for problem in tool.problems)
        if machine.device == "cpu":
            return (
                "ncu reads the counters of a GPU, and torch can use none here: nvidia-smi must show one, and torch be "
                "built for CUDA; perfkit import reads reports that were made elsewhere",
            )
        return ()

    def passes(self, context: PassContext) -> Iterator[Pass]:
        """Try ncu on an empty kernel, find the kernels that matter, then measure them.

        Raises:
            PerfkitError: ncu cannot do here what is asked for.
        """
        options, tool, began = _options(context.options), usable_ncu(os.environ), time.monotonic()
        self._trial = try_out(tool, _wanted(options), control(options), context.measure.device)
        step = finder(context, options)
        if step is not None:
            yield step
            self._timeline = known_timeline(context)
        timeline = self._timeline
        modes = ("range", "app-range") if options.replay == "auto" else (options.replay,)
        for mode in modes:
            self._plan = self._planned(context, timeline, mode, spent=time.monotonic() - began)
            _log.info("%s", self._plan.announcement())
            yield _step(context, self._plan, mode, last=mode == modes[-1])
            if not self._refused:
                return

    def command(self, argv: Sequence[str], context: PassContext) -> Sequence[str]:
        """Put ncu in front."""
        options, values = _options(context.options), context.step.values
        wanted = _wanted(options, ranges=values["replay"] in RANGES).without(self._trial.missing)
        return command(
            usable_ncu(os.environ),
            argv,
            context.directory.resolve(),
            options=options,
            wanted=wanted,
            values=values,
            marks_run=isinstance(context, RunContext),
        )

    def environment(self, environ: Mapping[str, str], context: PassContext) -> Mapping[str, str]:
        """Return what a worker needs, or all but secrets for a program."""
        chosen = minimal_environment if isinstance(context, RunContext) else program_environment
        return chosen(environ, _options(context.options).keep_env)

    def instrument(self, context: InstrumentContext) -> AbstractContextManager[object]:
        """Tell ncu where the measured run begins and ends; ranges say so themselves."""
        if context.step.values["replay"] in RANGES:
            return nullcontext()
        sample = context.step.values["sample"]
        return measured_run(context) if sample is None else sampled(context, sample)

    def failed(self, error: PerfkitError, context: PassContext) -> PerfkitError | None:
        """Return what ncu said of it, or None where range replay was refused and app-range comes next."""
        fault = fault_of(_said(context.directory), measured=(context.directory / REPORT).exists())
        if isinstance(fault, RangeRefusedError) and not context.step.values["last"]:
            self._refused = fault.message
            context.notes.append(f"Range replay was tried first, app-range comes next: {fault.message}")
            return None
        return fault or error

    def capture(self, context: PassContext) -> None:
        """Read the report, join it with the timeline and write ``ncu/regions``, also where ncu gave up half way.

        Raises:
            PerfkitError: Nothing was measured, or not all that was asked for.
        """
        from perfkit_nsight.ncu_capture import write_measured

        report, said = context.directory / REPORT, _said(context.directory)
        if not report.exists():
            unsaid = ToolError("ncu ended without a report, and does not say why", fix=f"its log: {context.directory}")
            raise fault_of(said, measured=False) or unsaid
        try:
            write_measured(context, report, self._timeline, self._plan, self._trial, refused=self._refused)
        except DamagedFileError as error:  # a report without results is no answer to why there are none
            raise fault_of(said, measured=False) or error from error
        fault = fault_of(said, measured=True)
        if fault is not None:
            raise fault
        self._refused = ""

    def _planned(self, context: PassContext, timeline: Timeline | None, mode: str, *, spent: float) -> MeasuringPlan:
        options, found = _options(context.options), timeline.report if timeline else None
        seconds, limit = timeline.seconds if timeline else 0.0, context.measure.max_seconds
        limit = None if limit is None else limit - spent
        if mode in RANGES:
            return plan_ranges(
                found,
                options,
                passes=self._trial.passes,
                run_seconds=seconds,
                again=mode != "range",
                limit=limit,
            )
        again = self._trial.passes if mode == "application" else 1
        return plan_kernels(
            found,
            options,
            passes=self._trial.passes,
            run_seconds=seconds * again,
            limit=limit,
            symbols=timeline.symbols() if timeline else {},
            samples=isinstance(context, RunContext),
        )


def _step(context: PassContext, plan: MeasuringPlan, mode: str, *, last: bool) -> Pass:
    """Return the pass that measures."""
    options = _options(context.options)
    values = {**plan.values(), "replay": mode, "last": last, "named": list(_wanted(options).named)}
    return Pass(name=mode, repeats=1, iterations=options.steps, region_depth=DEPTH, values=values)


def _wanted(options: NcuOptions, *, ranges: bool | None = None) -> Collection:
    whole = options.replay in {"auto", *RANGES} if ranges is None else ranges
    return collection(options, ranges=whole)


def _options(options: Options) -> NcuOptions:
    if not isinstance(options, NcuOptions):
        raise TypeError(f"expected NcuOptions, got {type(options).__name__}")
    return options


def _said(directory: Path) -> str:
    """Return what ncu said: its log, what it printed before it had one, and its lines among the program's own."""
    log, tool, program = (_text(directory / name) for name in (LOG, _PRINTED, _STDERR))
    if (directory / _PRINTED).exists():  # the program has streams of its own, and may say what ncu could have said
        program = "\n".join(line for line in program.splitlines() if line.startswith("=="))
    return "\n".join(words_of(text) for text in (log, tool, program))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
