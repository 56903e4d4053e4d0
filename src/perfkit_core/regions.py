"""Regions: one name for every piece of a run, opened by a workload and seen by every recorder.

A region path is slash-separated: the stage, then one segment per open region on the same thread. Recorders
(clocks, profiler ranges) are told of every push and pop; without any, a region costs next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from perfkit_core.marking import marked
from perfkit_core.sampling import blocks

if TYPE_CHECKING:
    from perfkit_core.watching import Watch

DEFAULT_DEPTH = 2
"""Levels of watched modules below the stage."""

ALL = 0
"""``iterations`` that run every iteration of a loop."""

SEEK = "_seek"
"""What is added to a loop's name for the region in which a place in it is reached; it is no part of the workload."""


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """Which iteration of a loop a region is.

    Attributes:
        index: Its number among those that are run, not its place in the workload's own loop; those of warm-up come
            first.
        total: Iterations that the workload has.
        warmup: Iterations run first whose times do not count; 0 when every iteration is run.
        measured: Iterations whose times count; they stand for all ``total``.
    """

    index: int
    total: int
    warmup: int
    measured: int

    @property
    def is_warmup(self) -> bool:
        """Whether this iteration's time does not count."""
        return self.index < self.warmup


class Recorder:
    """Sees every region of a run. All methods do nothing by default; ``push`` and ``pop`` may come from any thread."""

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """A whole run of the workload begins; one that is not ``detailed`` shows no regions inside iterations."""

    def end(self, *, finished: bool) -> None:
        """That run is over; it was not ``finished`` when it ended with an error."""

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Region ``path`` opens on this thread.

        Args:
            iteration: Set for the iterations of a loop.
            named: Whether the workload named it; it comes from a module inside a watched one otherwise.
        """

    def pop(self, path: str) -> None:
        """The innermost region on this thread, which is ``path``, closes."""


class _Place(NamedTuple):
    """An open region: whether recorders see it, and whether it is an iteration or inside one."""

    path: str
    shown: bool
    looping: bool


_OUTSIDE = _Place("", True, False)


class Regions:
    """The regions of a run.

    Args:
        recorders: Who is told.
        depth: Deepest level below the stage at which ``watch`` opens regions; 1 is the stage's children.
        iterations: Iterations of every loop to measure, ``ALL`` for all; None leaves it to each loop.
    """

    def __init__(
        self, recorders: tuple[Recorder, ...] = (), *, depth: int = DEFAULT_DEPTH, iterations: int | None = None
    ) -> None:
        self.recorders = recorders
        self.depth = depth
        self.iterations = iterations
        self.failed_in = ""
        """Innermost region that an exception left first; empty while there was none."""
        self.hidden: dict[str, str] = {}
        """Regions below which nothing can be seen, and why."""
        self._detailed = True
        self._watches: list[Watch] = []
        self._open = threading.local()

    def add(self, recorder: Recorder) -> None:
        """Tell ``recorder`` too, from the next region on."""
        self.recorders = (*self.recorders, recorder)

    @property
    def path(self) -> str:
        """The innermost open region of this thread; empty outside all."""
        stack = self._stack()
        return stack[-1].path if stack else ""

    @contextmanager
    def region(self, name: str) -> Iterator[None]:
        """Open a region: one path segment below the innermost open one of this thread.

        Args:
            name: The segment; a slash in it becomes ``%2F``.

        Raises:
            ValueError: The name is empty.
        """
        self.push(name)
        try:
            yield
        except BaseException:
            self.failed_in = self.failed_in or self.path
            raise
        finally:
            self.pop()

    def loop(
        self,
        name: str,
        total: int,
        *,
        measure: int = 3,
        warmup: int = 1,
        reach: Callable[[int], None] | None = None,
    ) -> Iterator[int]:
        """Yield the iterations ``0, 1, …`` of a loop, each of them an instance of region ``name``.

        A long loop is sampled: ``warmup`` iterations, then as many as are measured, and the rest is left out.
        Times are scaled to ``total``. A loop of at most that many iterations runs in full.

        Args:
            total: Iterations that the workload has.
            measure: Iterations to measure when the user does not say: 3 suits steps, 32 decoded tokens.
            warmup: Iterations of a sampled loop to run first, without measuring them.
            reach: For iterations whose cost changes along the way, such as tokens over a growing cache. Those
                measured are then blocks spread over all, each after a warm-up of its own, and their mean position is
                that of all. ``reach(i)`` is called to bring about what iteration ``i`` finds, where it does not
                follow the one before it; it has a region of its own, which does not count.

        Raises:
            ValueError: The name is empty.
        """
        wanted = measure if self.iterations is None else self.iterations
        sampled = wanted != ALL and warmup + wanted < total
        skipped = warmup if sampled else 0
        run = skipped + wanted if sampled else total
        if sampled and reach:
            yield from self._blocks(name, total, wanted, warmup, reach)
            return
        for index in range(run):
            with self._instance(name, Iteration(index=index, total=total, warmup=skipped, measured=run - skipped)):
                yield index

    def _blocks(self, name: str, total: int, wanted: int, warmup: int, reach: Callable[[int], None]) -> Iterator[int]:
        """Yield the positions of a sampled loop whose iterations differ; see ``loop``."""
        following, counted = 0, max(1, warmup)
        unmeasured = Iteration(index=0, total=total, warmup=counted, measured=wanted)
        for block in blocks(total, wanted, warmup):
            begin = max(following, block.start - warmup)
            if begin != following:
                with self._instance(name + SEEK, unmeasured, named=False):
                    reach(begin)
            for position in range(begin, block.stop):
                measured = position in block
                index = counted if measured else max(0, position - block.start + warmup)
                with self._instance(name, replace(unmeasured, index=index)):
                    yield position
                counted += measured
            following = block.stop

    @contextmanager
    def _instance(self, name: str, iteration: Iteration, *, named: bool = True) -> Iterator[None]:
        self.push(name, iteration, named=named)
        try:
            yield
        except GeneratorExit:  # the workload left its loop early
            raise
        except BaseException:
            self.failed_in = self.failed_in or self.path
            raise
        finally:
            self.pop()

    def watch(self, module: Any, name: str | None = None, *, hidden: str = "") -> None:
        """Make regions of the calls of a torch module, with the paths that ``perfkit verify`` uses.

        Every called module below ``module`` becomes a region named by its qualified name relative to its nearest
        called ancestor, down to ``depth`` levels below the stage.

        Args:
            name: Region of the calls of ``module`` itself; None when the workload opens that one.
            hidden: Why regions inside cannot be seen, such as ``torch.compile``; found by itself for compiled modules.
        """
        from perfkit_core.watching import Watch

        self._watches.append(Watch(self, module, name, hidden=hidden, detailed=self._detailed))

    def begin(self, index: int, *, warmup: bool, detailed: bool = True) -> None:
        """Tell the recorders that a whole run of the workload begins.

        Args:
            index: Number of the run.
            warmup: Whether its times do not count.
            detailed: Whether modules, and regions inside the iterations of a loop, are seen. Without them a run
                takes what it takes: a region costs the host some microseconds, which short iterations would feel.
        """
        self._detailed = detailed
        for watch in self._watches:
            watch.show(modules=detailed)
        for recorder in self.recorders:
            recorder.begin(index, warmup=warmup, detailed=detailed)

    def end(self, *, finished: bool = True) -> None:
        """Tell the recorders that the run is over, and stop watching modules that are too deep to be seen."""
        for recorder in self.recorders:
            recorder.end(finished=finished)
        for watch in self._watches:
            watch.prune()

    def close(self) -> None:
        """Stop watching all modules."""
        for watch in self._watches:
            watch.remove()
        self._watches.clear()

    def push(self, name: str, iteration: Iteration | None = None, *, named: bool = True) -> None:
        """Open a region without a ``with``; ``pop`` closes it."""
        if not name:
            raise ValueError("a region needs a name")
        stack = self._stack()
        around = stack[-1] if stack else _OUTSIDE
        segment = name.replace("/", "%2F")
        path = f"{around.path}/{segment}" if stack else segment
        looping = iteration is not None
        shown = self._detailed or looping or not around.looping
        stack.append(_Place(path, shown, looping or around.looping))
        if shown:
            for recorder in self.recorders:
                recorder.push(path, iteration, named=named)

    def pop(self) -> None:
        """Close the innermost region of this thread."""
        place = self._stack().pop()
        if place.shown:
            for recorder in reversed(self.recorders):
                recorder.pop(place.path)

    def _stack(self) -> list[_Place]:
        stack: list[_Place] | None = getattr(self._open, "places", None)
        if stack is None:
            stack = self._open.places = []
        return stack


_active: dict[str, Regions] = {}


@contextmanager
def activated(regions: Regions) -> Iterator[None]:
    """Let ``perfkit_core.region`` open regions of ``regions`` in this process."""
    _active["regions"] = regions
    try:
        yield
    finally:
        _active.clear()


@contextmanager
def region(name: str) -> Iterator[None]:
    """Open a region around code of your own; outside a measured run, ``perfkit exec`` included, it does nothing."""
    regions = _active.get("regions")
    with marked(name) if regions is None else regions.region(name):
        yield
