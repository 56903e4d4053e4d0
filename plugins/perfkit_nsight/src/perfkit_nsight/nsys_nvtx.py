"""NVTX ranges and domains of an nsys export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from perfkit_nsight.capture import NO_END, PROCESS_BITS, Ranges
from perfkit_nsight.nsys_columns import NULL, Columns, Query, combined, mapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NVTX: Final = Query(
    table="NVTX_EVENTS",
    numbers=("start", "end", "eventType", "textId", "globalTid", "endGlobalTid", "domainId"),
    texts=("text",),
)

_PUSH_POP = (59, 70)
_START_END = (60, 71)
_DOMAIN = 75


@dataclass(frozen=True, kw_only=True, eq=False)
class Nvtx:
    """The NVTX part of a capture; fields as in ``Capture``."""

    domains: tuple[str, ...]
    names: tuple[str, ...]
    push_pop: Ranges
    across_threads: Ranges
    start_end: Ranges
    last: int
    limits: tuple[str, ...]


def nvtx_of(
    events: Columns,
    texts: Sequence[str],
    strings: Callable[[NDArray[np.int64]], dict[int, str]],
    threads: tuple[int, ...],
) -> Nvtx:
    """Sort NVTX events into ranges; marks and the rest carry no work.

    Args:
        events: Columns of ``NVTX``.
        texts: What the numbers in the column ``text`` stand for.
        strings: Looks up numbers of StringIds.
        threads: Global numbers of the capture's threads.
    """
    import numpy as np

    events = {column: values.astype(np.int64) for column, values in events.items()}
    kind, across = events["eventType"], events["endGlobalTid"] != NULL
    push_pop, start_end = np.isin(kind, _PUSH_POP), np.isin(kind, _START_END)
    threaded = events["globalTid"] != NULL
    name, names = _names(events, texts, strings)
    domain, domains, unnamed = _domains(events, kind == _DOMAIN, (push_pop | start_end) & threaded, name, names)
    thread = mapped(events["globalTid"], {one: place for place, one in enumerate(threads)})

    def chosen(rows: NDArray[np.bool_]) -> Ranges:
        start, end = events["start"][rows], events["end"][rows]
        closed = np.where(end == NULL, NO_END, end)
        return Ranges(start=start, end=closed, thread=thread[rows], domain=domain[rows], name=name[rows])

    times = np.concatenate([events["start"], events["end"]])
    rows = push_pop & threaded
    lost = int((push_pop & ~threaded).sum())
    return Nvtx(
        domains=domains,
        names=names,
        push_pop=chosen(rows & ~across),
        across_threads=chosen(rows & across),
        start_end=chosen(start_end & threaded),
        last=int(times.max(initial=0)),
        limits=tuple(_limits(chosen(rows & ~across), int((rows & across).sum()), lost, unnamed)),
    )


def spans(events: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when every range starts and ends; an open one ends with the last event of any kind.

    Args:
        events: Columns of ``NVTX``.
    """
    import numpy as np

    ranges = np.isin(events["eventType"], (*_PUSH_POP, *_START_END))
    last = max(int(events[column].max(initial=0)) for column in ("start", "end"))
    start, end = (events[column][ranges].astype(np.int64) for column in ("start", "end"))
    return start, np.where(end == NULL, last, end)


def _names(
    events: Columns, texts: Sequence[str], strings: Callable[[NDArray[np.int64]], dict[int, str]]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the number of every event's name, and the names: its own text, else the registered one."""
    import numpy as np

    codes, first = combined([events["text"], events["textId"]], len(events["start"]))
    written, registered = events["text"][first].tolist(), events["textId"][first].tolist()
    known = strings(np.array(registered, dtype=np.int64))
    values = [texts[text] or known.get(number, "") for text, number in zip(written, registered, strict=True)]
    distinct = dict.fromkeys(values)
    places = {value: place for place, value in enumerate(distinct)}
    lookup = np.array([places[value] for value in values], dtype=np.int64)
    return (lookup[codes] if len(lookup) else codes), tuple(distinct)


def _domains(
    events: Columns,
    creations: NDArray[np.bool_],
    ranges: NDArray[np.bool_],
    name: NDArray[np.int64],
    names: tuple[str, ...],
) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """Return the number of every event's domain, the domains' names, and those that the capture does not name."""
    import numpy as np

    process = events["globalTid"] & PROCESS_BITS
    created: dict[tuple[int, int], str] = {}
    for row in np.flatnonzero(creations).tolist():
        key = int(process[row]), int(events["domainId"][row])
        created.setdefault(key, names[int(name[row])])
    rows = np.flatnonzero(ranges)
    number = np.where(events["domainId"] == NULL, 0, events["domainId"])
    codes, first = combined([process[rows], number[rows]], len(rows))
    labels, unnamed = [], []
    for row in rows[first].tolist():
        key = int(process[row]), int(number[row])
        if key[1] and not created.get(key):
            unnamed.append(f"(domain {key[1]})")
        labels.append(created.get(key) or (f"(domain {key[1]})" if key[1] else ""))
    distinct = dict.fromkeys(labels)
    places = {label: place for place, label in enumerate(distinct)}
    domain = np.zeros(len(name), dtype=np.int64)
    domain[rows] = np.array([places[label] for label in labels], dtype=np.int64)[codes] if labels else 0
    return domain, tuple(distinct), sorted(set(unnamed))


def _limits(push_pop: Ranges, across: int, lost: int, unnamed: list[str]) -> Iterator[str]:
    open_ones = int((push_pop.end == NO_END).sum())
    if open_ones:
        yield f"{open_ones} push/pop ranges were never closed; they end with the last NVTX event, as in nsys's reports"
    if across:
        yield f"{across} push/pop ranges end on another thread than they began; nothing is attributed to them"
    if lost:
        yield f"{lost} push/pop ranges name no thread; nothing is attributed to them"
    if unnamed:
        yield f"The capture does not hold the name of {', '.join(unnamed)}: created before it began"
