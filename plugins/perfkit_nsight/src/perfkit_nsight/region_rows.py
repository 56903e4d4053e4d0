"""Rows of a report: the tables of sums, a row per region, or per region, process and device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from perfkit_core.schema.regions import RegionRow, Tally
from perfkit_nsight.capture import Capture, Numbers, process_number
from perfkit_nsight.paths import Paths
from perfkit_nsight.ranges import Forest
from perfkit_nsight.sums import Places, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_NOTHING: Final = Tally()


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

        path = np.array(self._order, dtype=np.int64)
        nobody: list[int | None] = [None] * len(path)
        added = _Picked(
            instances=self._instances.sum(axis=1)[path],
            host=self._host.sum(axis=1)[path],
            cell=lambda table: table.sum(axis=1)[path],
        )
        yield from self._rows(path, nobody, nobody, added)

    def single(self) -> Iterator[RegionRow]:
        """Yield a row per region, process and device; without a device for a process that put no work on any."""
        import numpy as np

        path, place = np.nonzero(self._worked())
        process = self._places.process[place] if len(place) else place
        idle = self._instances > 0
        idle[path, process] = False
        others = np.nonzero(idle)
        path, process = np.concatenate([path, others[0]]), np.concatenate([process, others[1]])
        place = np.concatenate([place, np.full(len(others[0]), -1)])
        rank = np.empty(len(self._order), dtype=np.int64)
        rank[self._order] = np.arange(len(rank))
        order = np.lexsort((place, process, rank[path]))
        path, process, place = path[order], process[order], place[order]
        numbers = [process_number(one) for one in self._capture.processes]
        devices = self._places.device.tolist()
        own = _Picked(
            instances=self._instances[path, process],
            host=self._host[path, process],
            # A column of zeros, reached by -1, for processes without work.
            cell=lambda table: np.pad(table, ((0, 0), (0, 1)))[path, place],
        )
        yield from self._rows(
            path,
            [numbers[one] for one in process.tolist()],
            [devices[one] if one >= 0 else None for one in place.tolist()],
            own,
        )

    def _ordered(self, forest: Forest) -> list[int]:
        """Return regions by domain, then as they first appear, parents before what is inside."""
        import numpy as np

        first = np.full(len(self._paths.stack), np.iinfo(np.int64).max)
        np.minimum.at(first, self._paths.of_node, forest.start)
        stacks, domains = self._paths.stack, self._capture.domains
        named = [domains[number] for number in self._paths.domain.tolist()]
        starts = first.tolist()
        return sorted(range(len(stacks)), key=lambda one: (named[one], starts[one], len(stacks[one]), stacks[one]))

    def _worked(self) -> NDArray[np.bool_]:
        import numpy as np

        tables = [table > 0 for (_, inclusive), table in self._tables.count.items() if inclusive]
        return np.logical_or.reduce(tables) if tables else np.zeros((len(self._paths.stack), 1), dtype=bool)

    def _rows(
        self, path: Numbers, process: Sequence[int | None], device: Sequence[int | None], picked: _Picked
    ) -> Iterator[RegionRow]:
        count, time = self._tables.count, self._tables.time

        def figures(table: Any) -> list[int]:
            found: list[int] = [0] * len(path) if table is None else picked.cell(table).tolist()
            return found

        def tally(kind: str) -> Iterator[_Figures]:
            parts = (figures(one.get((kind, inside))) for one in (count, time) for inside in (True, False))
            return zip(*parts, strict=True)

        tallies = [tally(kind) for kind in ("copy", "set", "graph")]
        kernels, launches = (
            [figures(count.get((kind, inside))) for inside in (True, False)] for kind in ("kernel", "launch")
        )
        spent = [figures(time.get(("kernel", inside))) for inside in (True, False)]
        measured = [figures(table) for table in (self._tables.busy, self._tables.span, self._tables.idle)]
        opened = [picked.instances.tolist(), picked.host.tolist()]
        columns = (path.tolist(), process, device, *tallies, *kernels, *launches, *spent, *measured, *opened)
        for values in zip(*columns, strict=True):
            yield self._row(*values)

    def _row(
        self,
        path: int,
        process: int | None,
        device: int | None,
        copies: _Figures,
        sets: _Figures,
        graphs: _Figures,
        kernels: int,
        own_kernels: int,
        launches: int,
        own_launches: int,
        spent: int,
        own_spent: int,
        busy: int,
        span: int,
        idle: int,
        instances: int,
        host: int,
    ) -> RegionRow:
        return RegionRow.model_construct(
            domain=self._capture.domains[int(self._paths.domain[path])],
            path="/".join(self._paths.stack[path]),
            process=process,
            device=device,
            inclusive_ns=spent,
            exclusive_ns=own_spent,
            inclusive_kernels=kernels,
            exclusive_kernels=own_kernels,
            busy_ns=busy,
            span_ns=span,
            instances=instances,
            inclusive_copies_time=copies[2] + sets[2],
            exclusive_copies_time=copies[3] + sets[3],
            copies=_tally(copies),
            sets=_tally(sets),
            graphs=_tally(graphs),
            inclusive_launches=launches,
            exclusive_launches=own_launches,
            kernels_per_instance=kernels / instances,
            launches_per_instance=launches / instances,
            idle_time=idle,
            host_time=host,
        )


@dataclass(frozen=True, eq=False)
class _Picked:
    """Which cells of the tables the rows are made of; ``cell`` returns those of one table."""

    instances: Numbers
    host: Numbers
    cell: Callable[[NDArray[np.int64]], NDArray[np.int64]]


_Figures: TypeAlias = tuple[int, int, int, int]
"""Inclusive and exclusive count, inclusive and exclusive nanoseconds."""


def _tally(figures: _Figures) -> Tally:
    if not figures[0]:
        return _NOTHING
    inclusive, exclusive, inclusive_time, exclusive_time = figures
    return Tally.model_construct(
        inclusive=inclusive,
        exclusive=exclusive,
        inclusive_time=inclusive_time,
        exclusive_time=exclusive_time,
    )
