"""Backend ``nsys``: the timeline of a run, recorded by Nsight Systems and attributed to regions."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from perfkit_core.backend import InstrumentContext, Machine, Pass, PassContext, RunContext, WrappingBackend
from perfkit_core.captures import write_capture
from perfkit_core.errors import PLUGIN_FAULTS, MissingError, ToolError
from perfkit_core.options import Options
from perfkit_core.regions import ALL
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.units import format_iterations
from perfkit_nsight.environment import minimal_environment, program_environment
from perfkit_nsight.nsys_export import export_sqlite
from perfkit_nsight.nsys_marked import Marked
from perfkit_nsight.nsys_options import NsysOptions
from perfkit_nsight.nsys_session import MARK, end_session
from perfkit_nsight.nsys_tool import HOW_TO_INSTALL, Nsys, find_nsys, usable_nsys
from perfkit_nsight.profiler_range import measured_run

NAME = "capture"
"""What nsys's files in the pass's directory are called."""

NVTX_TO_2023 = "0.2.11"
"""Newest nvtx package whose ranges nsys of 2023 and before records; later ones record nothing there, silently."""

TMPDIR = "TMPDIR"
"""Environment variable that says where temporary files go."""

_log = logging.getLogger("perfkit.nsight")


class NsysBackend(WrappingBackend):
    """Runs the worker, or any program, under ``nsys profile``."""

    def check(self, machine: Machine) -> Sequence[str]:
        """Return what keeps nsys from being used."""
        tool = find_nsys(machine.environ)
        if tool is None:
            return (f"nsys is not on this machine: {HOW_TO_INSTALL}",)
        return tuple(f"{tool.path}: {problem}" for problem in tool.problems)

    def passes(self, context: PassContext) -> Iterable[Pass]:
        """Return one pass of one run after one of warm-up, with few iterations of every loop."""
        return (Pass(repeats=1, iterations=_options(context.options).steps),)

    def command(self, argv: Sequence[str], context: PassContext) -> Sequence[str]:
        """Put ``nsys profile`` in front: GPU work and NVTX alone, no sampling of the host."""
        tool, options = usable_nsys(os.environ), _options(context.options)
        on_gpu = context.measure.device != "cpu"
        capture = ["--capture-range=cudaProfilerApi", "--capture-range-end=stop"] if self._marks_run(context) else []
        return [
            str(tool.path),
            "profile",
            f"--trace={'cuda,nvtx' if on_gpu else 'nvtx'}",
            "--sample=none",
            "--cpuctxsw=none",
            *([f"--cuda-graph-trace={options.graphs}"] if on_gpu else []),
            *capture,
            f"--session-new={_session(context)}",
            "--force-overwrite=true",
            f"--output={context.scratch / NAME}",
            *_with_own_tmpdir(argv),
        ]

    def environment(self, environ: Mapping[str, str], context: PassContext) -> Mapping[str, str]:
        """Return what a worker needs, or all but secrets for a program: nsys stores it in the report."""
        chosen = minimal_environment if isinstance(context, RunContext) else program_environment
        return {**chosen(environ, _options(context.options).keep_env), **_private(context)}

    def instrument(self, context: InstrumentContext) -> AbstractContextManager[object]:
        """Tell nsys where the measured run begins and ends, so that loading and warm-up are not recorded."""
        return measured_run(context)

    def abort(self, context: PassContext) -> None:
        """End nsys's agent, which outlasts the process group, and what it waits for: no process of it is left."""
        try:
            tool = find_nsys(os.environ)
            if tool is not None:
                shutdown = [str(tool.path), "shutdown", f"--session={_session(context)}", "--kill=sigkill"]
                _call(shutdown, {**os.environ, **_private(context)})
        finally:  # also where the user does not wait for nsys
            end_session(_session(context))

    def capture(self, context: PassContext) -> None:
        """Export, attribute and write what was recorded.

        Raises:
            ToolError: Nothing was recorded, or less than the process marked.
        """
        from perfkit_nsight.attribution import attribute
        from perfkit_nsight.nsys_tables import read_export

        options, kept = _options(context.options), context.directory / f"{NAME}.sqlite"
        try:
            tool = _still_usable(context)
            report = _report(context, tool)
            export = _scrubbed(tool, report, kept)
            context.notes.append(_provenance(report, kept))
        except PLUGIN_FAULTS:  # what was recorded is all there is, environments in it or not
            _keep_raw(context)
            raise
        finally:
            if options.keep_report:
                _keep_raw(context)
        found = attribute(read_export(export))
        rows = found.regions if options.per_device else tuple(row for row in found.regions if row.process is None)
        context.notes.extend(_notes(context, tool, found))
        marked = Marked.of(context.directory, found)
        context.notes.extend(marked.notes())
        write_capture(context, found.model_copy(update={"regions": rows}))
        _check(found, marked, context, tool)

    @staticmethod
    def _marks_run(context: PassContext) -> bool:
        """Whether the process says itself when to record: a worker on a GPU does."""
        return isinstance(context, RunContext) and context.measure.device != "cpu"


def _options(options: Options) -> NsysOptions:
    if not isinstance(options, NsysOptions):
        raise TypeError(f"expected NsysOptions, got {type(options).__name__}")
    return options


def _session(context: PassContext) -> str:
    """Return a name for nsys's session that is the run's own: the same in ``command`` and ``abort``."""
    return "perfkit" + re.sub(r"[^A-Za-z0-9]", "", f"{os.getpid()}{context.directory.name}")


def _private(context: PassContext) -> Mapping[str, str]:
    """Return what nsys alone gets: its temporary files, a report among them, hold environments of all processes."""
    return {MARK: _session(context), TMPDIR: str(context.scratch)}


def _with_own_tmpdir(argv: Sequence[str]) -> Sequence[str]:
    """Return the command line that gives a program the user's directory for temporary files back."""
    own = os.environ.get(TMPDIR)
    return ["env", *(["-u", TMPDIR] if own is None else [f"{TMPDIR}={own}"]), *argv]


def _call(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        subprocess.run(argv, capture_output=True, timeout=20, check=False, env=environ)  # noqa: S603 - the tool, no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s could not be ended: %s", argv[0], error)


def _still_usable(context: PassContext) -> Nsys:
    """Return the nsys that recorded; raw data that it left without a report are named where it cannot be used."""
    try:
        return usable_nsys(os.environ)
    except MissingError as error:
        if not (context.scratch / f"{NAME}.qdstrm").is_file():
            raise
        raise MissingError(f"only {NAME}.qdstrm was written, no report: {error.message}", fix=error.fix) from error


def _report(context: PassContext, tool: Nsys) -> Path:
    report = context.scratch / f"{NAME}.nsys-rep"
    if report.is_file():
        return report
    log = f"its logs: {context.directory}"
    if report.with_suffix(".qdstrm").is_file():
        raise ToolError(
            f"nsys {tool.version} recorded, and could not make its report: only {NAME}.qdstrm was written",
            fix=f"perfkit doctor says what its importer lacks; {log}",
        )
    raise ToolError(f"nsys {tool.version} wrote no report: nothing was recorded", fix=log)


def _scrubbed(tool: Nsys, report: Path, target: Path) -> Path:
    """Export a report without what is not the run's: nsys, as root, stores the environment of every process it sees."""
    from perfkit_nsight.nsys_scrub import scrub

    raw = report.with_suffix(".sqlite")
    export_sqlite(tool, report, raw)
    scrub(raw, target, read=False)  # what is read next is the copy
    raw.unlink()
    return target


def _keep_raw(context: PassContext) -> None:
    """Move nsys's own files from the private directory to the pass's, where the run keeps them."""
    for path in context.scratch.glob(f"{NAME}.[nq]*"):
        if path.is_file():
            path.replace(context.directory / path.name)
            context.notes.append(
                f"{path.name} is nsys's own file, with what it saw of this machine, also environments of processes: "
                "share a copy that perfkit scrub made"
            )


def _provenance(report: Path, kept: Path) -> str:
    """Return what identifies the report that the kept capture was exported from."""
    with report.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{kept.name} is the scrubbed export of nsys's report of {report.stat().st_size} bytes, SHA-256 {digest}"


def _check(found: RegionsReport, marked: Marked, context: PassContext, tool: Nsys) -> None:
    """Fail a pass whose recording lacks what was marked, or any work of a GPU run; what there is was written."""
    if marked.sure and not marked.recorded:
        older = tool.release < (2024, 0)
        raise ToolError(
            f"nsys {tool.version} recorded none of the {marked.sure.total()} ranges that were emitted",
            fix=f"pip install 'nvtx<={NVTX_TO_2023}': this nsys does not see newer ones" if older else "perfkit doctor",
        )
    lost = marked.lost()
    if lost:
        name = lost[0]
        raise ToolError(
            f"nsys {tool.version} recorded {marked.recorded[name]} of {marked.sure[name]} ranges {name!r}, and fewer "
            f"than were emitted of {len(lost)} paths in all; what was recorded is kept",
            fix=f"its logs: {context.directory}",
        )
    worked = found.totals.kernels or found.totals.graphs.count or found.totals.copies.count
    if isinstance(context, RunContext) and context.measure.device != "cpu" and not worked:
        raise ToolError(
            f"nsys {tool.version} recorded no work of {context.measure.device}",
            fix="another profiler may hold the GPU, or this nsys is older than the driver: perfkit doctor",
        )


def _notes(context: PassContext, tool: Nsys, found: RegionsReport) -> Iterator[str]:
    """Yield what the run knows of its capture and the capture itself does not say."""
    yield f"Recorded by nsys {tool.version}; it slows launches down, so idle times are larger than without it"
    if not found.regions:
        unseen = f": this nsys sees none of nvtx newer than {NVTX_TO_2023}" if tool.release < (2024, 0) else ""
        yield f"No push/pop range was recorded: the program marked none, or not so that nsys saw it{unseen}"
    if not isinstance(context, RunContext):
        return
    # Another backend that turns to this one for a pass says how many itself.
    steps = context.step.iterations if context.measure.iterations is None else context.measure.iterations
    if steps != ALL:
        yield (
            f"One run was recorded, with {format_iterations(steps)} of every longer loop besides its warm-up; values "
            "are of the run as recorded, not scaled (--measure-steps N|all changes that)"
        )
    else:
        yield "One run was recorded, with every iteration of every loop"
    if context.measure.device == "cpu":
        yield "The run was on the CPU: ranges were recorded, and there is no GPU work"
