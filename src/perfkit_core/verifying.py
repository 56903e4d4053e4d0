"""``perfkit verify`` on the driver's side: a run, one worker pass that counts the real modules, its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from perfkit_core import driver, rundir
from perfkit_core.errors import MissingError, PerfkitError, UsageError, message_of, one_line
from perfkit_core.plan import Plan
from perfkit_core.rundir import Run, RunWriter
from perfkit_core.schema.run import PassRecord, PluginRecord, RunStatus
from perfkit_core.schema.worker import WorkerPlan

NAME = "verify"
"""Name of the pass in the index."""

_NOT_OF_A_MODEL = {"command": "a command", "import": "imported files"}
_log = logging.getLogger(__name__)


def verify(plan: Plan, plugins: Sequence[PluginRecord]) -> Run:
    """Compare the cost tree with the real implementation and return the run that holds the result.

    The result goes into the run at ``--out`` when that is one of the same subject, else into a new run.

    Args:
        plan: What to verify, with the tolerance in its settings.
        plugins: The active plugins, for the index of a new run.

    Raises:
        UsageError: ``--out`` holds a run of something else.
        MissingError: torch, or what the model's reference needs, is not installed.
        CheckFailed: The reference cannot be trusted.
        ToolError: The worker failed.
    """
    _require_torch()
    writer = _writer(plan, plugins)
    position = len(writer.index.passes)
    writer.update(passes=(*writer.index.passes, PassRecord(backend=NAME, status="running", seconds=0.0)))
    started = time.perf_counter()
    try:
        _count(plan, writer, position)
    except BaseException as error:
        status, text = _outcome(error)
        _finish(writer, started, status, text)
        raise
    writer.add_files([writer.path / rundir.VERIFY_LAYERS, writer.path / rundir.VERIFY_TOTALS])
    driver.write_reports(writer, plan.settings)
    _finish(writer, started, writer.index.status, "")
    return writer.run()


def _outcome(error: BaseException) -> tuple[RunStatus, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "interrupted by the user"
    return "partial", message_of(error) if isinstance(error, PerfkitError) else one_line(error)


def _require_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingError(
            "verify counts the real modules with torch, which is not installed",
            fix="pip install torch transformers diffusers",
        )


def _writer(plan: Plan, plugins: Sequence[PluginRecord]) -> RunWriter:
    out = plan.settings.out
    if out is None or not (out / rundir.INDEX).exists():
        return rundir.open_run(driver.run(plan, plugins).path)
    found = rundir.load_run(out)
    report = found.report
    subject, index = plan.subject, found.index
    if index.kind != "model":
        raise UsageError(
            f"--out {out} holds a run of {_NOT_OF_A_MODEL[index.kind]}, which there is nothing to verify of",
            fix="choose another --out",
        )
    wanted = (subject.model.name, subject.request.variant, subject.workload.name)
    same = (index.model, index.variant, index.workload) == wanted
    if not same or report is None or plan.tree is None:
        raise UsageError(
            f"--out {out} holds a run of {index.model} {index.variant}, workload {index.workload}, not of this",
            fix="choose another --out",
        )
    if report.parameters != subject.parameters() or report.architecture != plan.tree.architecture:
        raise UsageError(
            f"--out {out} holds a run with other parameters", fix="choose another --out, or pass the run's own --set"
        )
    return rundir.open_run(out)


def _count(plan: Plan, writer: RunWriter, position: int) -> None:
    from perfkit_core.launch import run_worker

    settings, subject = plan.settings, plan.subject
    directory = Path("passes") / f"{position:02d}-{NAME}"
    try:
        run_worker(
            WorkerPlan(
                task="verify",
                model=settings.model or subject.model.name,
                variant=subject.request.variant,
                workload=subject.workload.name,
                parameters=subject.parameters(),
                checkpoint=str(subject.request.checkpoint) if subject.request.checkpoint else "",
                tolerance=settings.tolerance,
                out=str((writer.path / rundir.VERIFY_LAYERS).parent.resolve()),
            ),
            (writer.path / directory).resolve(),
            progress=_log.info,
        )
    finally:
        writer.add_files(path for path in (writer.path / directory).glob("*") if path.is_file())


def _finish(writer: RunWriter, started: float, status: RunStatus, error: str) -> None:
    record = PassRecord(
        backend=NAME,
        status="failed" if error else "done",
        seconds=round(time.perf_counter() - started, 6),
        error=error,
    )
    writer.update(passes=(*writer.index.passes[:-1], record), status=status, error=error or writer.index.error)
