"""The passes of one backend, one after the other, each with its record in the run's index."""

from __future__ import annotations

import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from perfkit_core.backend import Pass, PassContext, ProfilerBackend
from perfkit_core.errors import INTERRUPTED as INTERRUPTED_CODE
from perfkit_core.errors import PLUGIN_FAULTS, PerfkitError, ToolError, message_of, one_line
from perfkit_core.options import Options, build_options
from perfkit_core.registry import registry
from perfkit_core.schema.run import PassRecord, PassStatus, pass_name
from perfkit_core.specs import BackendSpec

INTERRUPTED = "interrupted by the user"
FAULTS_OR_IMPATIENCE: tuple[type[BaseException], ...] = (*PLUGIN_FAULTS, KeyboardInterrupt)
"""What ends the collecting of what a failed pass left, and changes nothing: a second fault, or a further Ctrl-C."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The backend that makes a pass: the one that was asked for, or another that it turns to.

    Attributes:
        spec: Its spec.
        selector: How it is named to the worker.
        options: Its validated options.
    """

    spec: BackendSpec
    selector: str
    options: Options


AnyContext = TypeVar("AnyContext", bound=PassContext)


class PassLoop(ABC, Generic[AnyContext]):
    """The passes of one backend; a fault is recorded in the index, not raised.

    Args:
        context: What every pass is given; options, directory, notes and the pass itself are filled in.
        maker: The backend that was asked for.
        position: Place of its first pass in the index, where a pending record waits.
    """

    def __init__(self, context: AnyContext, maker: Maker, position: int) -> None:
        self.context, self.maker = context, maker
        self._asked, self._position = maker, position
        self._notes: list[str] = []
        limit = context.measure.max_seconds
        self._ends = None if limit is None else time.monotonic() + limit

    @abstractmethod
    def steps(self, backend: ProfilerBackend) -> Iterable[Pass]:
        """Return the passes that the backend wants."""

    @abstractmethod
    def execute(self, backend: ProfilerBackend, context: AnyContext) -> None:
        """Make one pass and collect what it left, also where it fails.

        Raises:
            PerfkitError: It failed.
        """

    def built(self) -> ProfilerBackend:
        """Return the backend that was asked for."""
        return self._asked.spec.factory()

    def run(self) -> None:
        """Make one pass after the other until one fails; each is asked for when the one before is collected.

        Raises:
            KeyboardInterrupt: The user ended it; what the pass has measured is collected.
        """
        self._enter("running")
        started = time.perf_counter()
        try:
            backend = self.built()
            steps = iter(self.steps(backend))
            step = next(steps, None)
            while step is not None:
                status, began = self._one(backend, step), started
                self._enter(status, began)
                step, started = self._following(steps), time.perf_counter()
                if step is None and status == "replaced":
                    self._fail(began, "it failed, and no pass took its place: see its notes", ToolError.exit_code)
        except KeyboardInterrupt:
            self._enter("failed", started, INTERRUPTED, INTERRUPTED_CODE)
            raise
        except PerfkitError as error:
            self._fail(started, message_of(error), error.exit_code)
            _log.debug("the pass failed", exc_info=True)
        except PLUGIN_FAULTS as error:  # the trace is kept with the run
            self.context.writer.write_text(f"{self.directory}/traceback.txt", traceback.format_exc())
            self._fail(started, one_line(error), ToolError.exit_code)

    @property
    def directory(self) -> str:
        """Directory of the pass at hand, relative to the run's."""
        return pass_name(self._position, self.maker.spec.name)

    def _following(self, steps: Iterable[Pass]) -> Pass | None:
        """Return the next pass, with its record in the index; a fault in finding it is that pass's own."""
        done = self._position, self.maker, self._notes
        self._append()
        step = next(iter(steps), None)
        if step is None:
            self._remove()
            self._position, self.maker, self._notes = done
        return step

    def _one(self, asked: ProfilerBackend, step: Pass) -> PassStatus:
        """Make one pass and return what became of it."""
        backend = self._turned_to(step) if step.backend else asked
        self._enter("running")
        context = replace(
            self.context,
            step=step,
            directory=self.context.writer.path / self.directory,
            measure=replace(self.context.measure, max_seconds=self._left()),
            notes=self._notes,
            options=self.maker.options,
        )
        try:
            self.execute(backend, context)
        except PerfkitError as error:
            judged = backend.failed(error, context)
            if judged is error:
                raise
            if judged is not None:
                raise judged from error
            return "replaced"
        return "done"

    def _left(self) -> float | None:
        """Return the seconds that are left to the backend.

        Raises:
            ToolError: None are.
        """
        if self._ends is None:
            return None
        left = self._ends - time.monotonic()
        if left <= 0:
            raise ToolError("the time limit was used up before this pass began", fix="a larger --max-minutes")
        return left

    def _turned_to(self, step: Pass) -> ProfilerBackend:
        spec = registry().backend(step.backend)
        options = build_options(spec.options, step.options, owner=f"backend {spec.name!r}")
        self.maker = Maker(spec=spec, selector=spec.name, options=options)
        return spec.factory()

    def _fail(self, started: float, error: str, code: int) -> None:
        _log.error("backend %s failed: %s", self.maker.spec.name, error)
        self._enter("failed", started, error, code)

    def _append(self) -> None:
        """Make room in the index for one more pass of this backend."""
        writer = self.context.writer
        passes = list(writer.index.passes)
        self._position += 1
        self._notes, self.maker = [], self._asked
        passes.insert(self._position, PassRecord(backend=self.maker.spec.name, status="pending", seconds=0.0))
        writer.update(passes=tuple(passes))
        self._enter("running")

    def _remove(self) -> None:
        """Take that room back: there is no further pass."""
        writer = self.context.writer
        writer.update(passes=(*writer.index.passes[: self._position], *writer.index.passes[self._position + 1 :]))

    def _enter(self, status: PassStatus, started: float | None = None, error: str = "", code: int = 0) -> None:
        writer = self.context.writer
        seconds = 0.0 if started is None else round(time.perf_counter() - started, 6)
        record = PassRecord.model_validate(
            {
                "backend": self.maker.spec.name,
                "status": status,
                "seconds": seconds,
                "error": error,
                "exit_code": code,
                "directory": self.directory if (writer.path / self.directory).is_dir() else "",
                "notes": tuple(self._notes),
            }
        )
        passes = list(writer.index.passes)
        passes[self._position] = record
        writer.update(passes=tuple(passes))
