"""Entry point of the worker: read the plan, do the task, leave a result or an error record."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from perfkit_core.errors import PLUGIN_FAULTS, PerfkitError, ToolError, one_line, public_class
from perfkit_core.files import write_atomically
from perfkit_core.schema.worker import WorkerError, WorkerPlan

ERROR = "error.json"
ERROR_LINE = "perfkit-error: "
"""Prefix of the error record on standard error, used when its file cannot be written."""


def main(path: Path) -> int:
    """Carry out the plan at ``path`` and return the exit status."""
    try:
        plan = WorkerPlan.model_validate_json(path.read_bytes())
        _task(plan)
    except PerfkitError as error:
        _record(path.parent, public_class(error), error.message, error.fix)
        return error.exit_code
    except PLUGIN_FAULTS as error:  # they cross the process border as a record
        _record(path.parent, type(error), one_line(error), "")
        return ToolError.exit_code
    return 0


def _task(plan: WorkerPlan) -> None:
    if plan.task == "measure":
        from perfkit_core.worker.measure_task import measure

        measure(plan, _progress)
    else:
        from perfkit_core.worker.verify_task import verify

        verify(plan, _progress)


def _progress(line: str) -> None:
    sys.stderr.write(f"perfkit: {line}\n")
    sys.stderr.flush()


def _record(directory: Path, kind: type[BaseException], message: str, fix: str) -> None:
    """Leave the error as a file and, where the disk is full, on standard error alone."""
    record = WorkerError(type=kind.__name__, message=message, fix=fix, traceback=traceback.format_exc())
    traceback.print_exc()
    try:
        write_atomically(directory / ERROR, record.model_dump_json(indent=2) + "\n")
    except PerfkitError:
        sys.stderr.write(f"{ERROR_LINE}{record.model_dump_json()}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
