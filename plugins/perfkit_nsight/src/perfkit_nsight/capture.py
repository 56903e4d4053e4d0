"""What an nsys capture recorded, as columns: device work, API calls, NVTX ranges. Times are its own nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Numbers: TypeAlias = "NDArray[np.signedinteger[Any]]"
"""Whole numbers of 4 or 8 bytes."""

Flags: TypeAlias = "NDArray[np.bool_]"

PROCESS_BITS: Final = ~0xFFFFFF
"""What a thread's global number has in common with its process's."""

NO_END: Final = -1
"""End of a range that was never closed."""

NO_CALL: Final = -1
"""In place of a call: none was recorded."""

WorkKind = Literal["kernel", "copy", "set", "graph"]


class WorkName(NamedTuple):
    """What is the same in all runs of one kernel with one geometry; of one kind of copy or set; of one graph.

    Attributes:
        name: Demangled name with its parameters, or what stands for a name.
        short: Base name; empty where the export has none.
        grid: Blocks per grid as ``x,y,z``; empty for what is no kernel.
        block: Threads per block as ``x,y,z``; empty for what is no kernel.
    """

    name: str
    short: str = ""
    grid: str = ""
    block: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Work of one kind on devices, a row each.

    Attributes:
        kind: What it is.
        start: First nanosecond.
        end: Nanosecond after the last.
        device: Device number, as its process counts devices.
        process: Position in ``Capture.processes``.
        name: Position in ``names``.
        names: Distinct names and geometries.
        call: Position in ``Capture.calls`` of the API call that launched it; ``NO_CALL`` where none was recorded.
        in_graph: Whether it is a node of a CUDA graph.
    """

    kind: WorkKind
    start: Numbers
    end: Numbers
    device: Numbers
    process: Numbers
    name: Numbers
    names: tuple[WorkName, ...]
    call: Numbers
    in_graph: Flags


@dataclass(frozen=True, kw_only=True, eq=False)
class Calls:
    """API calls that put work on a device, a row each.

    Attributes:
        start: First nanosecond.
        end: Last nanosecond.
        thread: Position in ``Capture.threads``.
        launches: Whether it launched a kernel or a graph.
    """

    start: Numbers
    end: Numbers
    thread: Numbers
    launches: Flags


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranges:
    """NVTX ranges of one sort, a row each, in the order of the file.

    Attributes:
        start: First nanosecond.
        end: Last nanosecond; ``NO_END`` where it was never closed.
        thread: Position in ``Capture.threads`` of the thread that opened it.
        domain: Position in ``Capture.domains``.
        name: Position in ``Capture.range_names``.
    """

    start: Numbers
    end: Numbers
    thread: Numbers
    domain: Numbers
    name: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Capture:
    """One nsys capture.

    Attributes:
        profiler: What recorded and exported it, with versions.
        processes: Global process numbers.
        threads: Global thread numbers.
        domains: Names of NVTX domains; the default one is called "". Domains of one name are one.
        range_names: Names of ranges as recorded.
        work: Device work by kind; all four kinds are there.
        calls: API calls that put work on a device.
        push_pop: Push/pop ranges that begin and end on one thread.
        across_threads: Push/pop ranges that end on another thread; nothing is attributed to them.
        start_end: Start/end ranges; nothing is attributed to them.
        last: The last nanosecond of any NVTX event: where ranges that were never closed end, as in nsys's reports.
        limits: What the export lacks or cannot show, one line each.
    """

    profiler: str
    processes: tuple[int, ...]
    threads: tuple[int, ...]
    domains: tuple[str, ...]
    range_names: tuple[str, ...]
    work: Mapping[WorkKind, Work]
    calls: Calls
    push_pop: Ranges
    across_threads: Ranges
    start_end: Ranges
    last: int
    limits: tuple[str, ...]

    def process_of_thread(self) -> Numbers:
        """Return the position in ``processes`` of every thread's process."""
        import numpy as np

        places = {process: place for place, process in enumerate(self.processes)}
        return np.array([places[thread & PROCESS_BITS] for thread in self.threads], dtype=np.int64)


def process_number(global_number: int) -> int:
    """Return the operating system's process number in a global process or thread number."""
    return global_number >> 24 & 0xFFFFFF


def thread_number(global_thread: int) -> int:
    """Return the operating system's thread number in a global thread number."""
    return global_thread & 0xFFFFFF
