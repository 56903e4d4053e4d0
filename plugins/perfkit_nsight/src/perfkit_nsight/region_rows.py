"""Rows of a report: the tables of sums, a row per region, or per region, process and device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfkit_core.schema.regions import RegionRow, Tally
from perfkit_nsight.capture import Capture, process_number
from perfkit_nsight.paths import Paths
from perfkit_nsight.ranges import Forest
from perfkit_nsight.sums import Places, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Rows:
    """Makes the rows of one report.

    Args:
        capture: What was recorded.
        forest: Instances of regions.
        paths: The regions.
        places: Devices of processes.
        tables: Sums by region and place.
    """

    def __init__(self, capture: Capture, forest: Forest, paths: Paths, places: Places, tables: Tables) -> None:
        import numpy as np

        self._capture, self._paths, self._places, self._tables = capture, paths, places, tables
        shape = (len(paths.stack), max(1, len(capture.processes)))
        process = capture.process_of_thread()[forest.thread] if len(forest.thread) else forest.thread
        self._instances = np.zeros(shape, dtype=np.int64)
        np.add.at(self._instances, (paths.of_node, process), 1)
        # A range that others overlap has a node per stack; its own time counts where it was opened.
        _, opening = np.unique(forest.row, return_index=True)
        self._host = np.zeros(shape, dtype=np.int64)
        held = (forest.end - forest.start)[opening]
        np.add.at(self._host, (paths.of_node[opening], process[opening]), held)
        self._order = self._ordered(forest)

    def aggregates(self) -> Iterator[RegionRow]:
        """Yield a row per region, over all processes and devices."""
        import numpy as np

        every = np.arange(len(self._places))
        for path in self._order:
            yield self._row(path, every, np.arange(self._instances.shape[1]), process=None, device=None)

    def single(self) -> Iterator[RegionRow]:
        """Yield a row per region, process and device; without a device for a process that put no work on any."""
        import numpy as np

        for path in self._order:
            for process in np.flatnonzero(self._instances[path]).tolist():
                number = process_number(self._capture.processes[process])
                own = np.flatnonzero(self._places.process == process)
                used = [place for place in own.tolist() if self._worked(path, place)]
                for place in used:
                    device = int(self._places.device[place])
                    yield self._row(path, np.array([place]), np.array([process]), process=number, device=device)
                if not used:
                    yield self._row(path, own[:0], np.array([process]), process=number, device=None)

    def _ordered(self, forest: Forest) -> list[int]:
        """Return regions by domain, then as they first appear, parents before what is inside."""
        import numpy as np

        first = np.full(len(self._paths.stack), np.iinfo(np.int64).max)
        np.minimum.at(first, self._paths.of_node, forest.start)
        stacks, domains = self._paths.stack, self._capture.domains
        named = [domains[number] for number in self._paths.domain.tolist()]
        starts = first.tolist()
        return sorted(range(len(stacks)), key=lambda one: (named[one], starts[one], len(stacks[one]), stacks[one]))

    def _worked(self, path: int, place: int) -> bool:
        return any(int(table[path, place]) for (_, inclusive), table in self._tables.count.items() if inclusive)

    def _row(
        self,
        path: int,
        places: NDArray[np.int64],
        processes: NDArray[np.int64],
        *,
        process: int | None,
        device: int | None,
    ) -> RegionRow:
        def total(table: Any) -> int:
            return 0 if table is None else int(table[path, places].sum())

        count, time = self._tables.count, self._tables.time
        instances = int(self._instances[path, processes].sum())
        kernels, launches = (total(count.get((kind, True))) for kind in ("kernel", "launch"))
        copies, sets, graphs = (
            Tally.model_construct(
                inclusive=total(count.get((kind, True))),
                exclusive=total(count.get((kind, False))),
                inclusive_time=total(time.get((kind, True))),
                exclusive_time=total(time.get((kind, False))),
            )
            for kind in ("copy", "set", "graph")
        )
        return RegionRow.model_construct(
            domain=self._capture.domains[int(self._paths.domain[path])],
            path="/".join(self._paths.stack[path]),
            process=process,
            device=device,
            inclusive_ns=total(time.get(("kernel", True))),
            exclusive_ns=total(time.get(("kernel", False))),
            inclusive_kernels=kernels,
            exclusive_kernels=total(count.get(("kernel", False))),
            busy_ns=total(self._tables.busy),
            span_ns=total(self._tables.span),
            instances=instances,
            inclusive_copies_time=copies.inclusive_time + sets.inclusive_time,
            exclusive_copies_time=copies.exclusive_time + sets.exclusive_time,
            inclusive_launches=launches,
            exclusive_launches=total(count.get(("launch", False))),
            kernels_per_instance=kernels / instances,
            launches_per_instance=launches / instances,
            idle_time=total(self._tables.idle),
            host_time=int(self._host[path, processes].sum()),
            copies=copies,
            sets=sets,
            graphs=graphs,
        )
