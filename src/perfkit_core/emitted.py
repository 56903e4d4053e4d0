"""What the processes of a program say of the regions they marked: counts for the backend, notes for the reader."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from perfkit_core.errors import DamagedFileError
from perfkit_core.files import write_atomically
from perfkit_core.marking import LOGS


@dataclass(kw_only=True)
class Emitted:
    """What one process said.

    Attributes:
        pid: Its number.
        ranges: How many ranges were closed, by path.
        parent: Number of the process that started it; empty when unknown.
        running: How many programs of it began and did not end by themselves.
        forked: The same, of the time after a fork without a program of its own.
        errors: Why nothing could be marked, by the Python that said it.
    """

    pid: str
    ranges: Counter[str] = field(default_factory=Counter)
    parent: str = ""
    running: int = 0
    forked: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)


def collect_emitted(directory: Path) -> list[str]:
    """Make one ``nvtx-PID.json`` of what each process left while it ran, and return notes for the reader.

    Its ``ranges`` are those that a recording must have, by path. Those of a process that was killed, or that another of
    them started and may have killed at its end, are in ``unsure`` instead: the recording may have fewer of them.

    Raises:
        DamagedFileError: A process left something else.
        MissingError: A file cannot be written.
    """
    found = [_read(path) for path in sorted(directory.glob(LOGS))]
    started = {one.pid for one in found}
    for one in found:
        content = {"forked": dict(one.forked), "errors": one.errors}
        unsure = one.running > 0 or one.parent in started
        sure = {"ranges": {}, "unsure": dict(one.ranges)} if unsure else {"ranges": dict(one.ranges), "unsure": {}}
        written = json.dumps({**sure, **content}, indent=1)
        write_atomically(directory / f"nvtx-{one.pid}.json", written + "\n")
    for path in directory.glob(LOGS):
        path.unlink()
    return list(_notes(found))


def _read(path: Path) -> Emitted:
    one = Emitted(pid=path.stem.removeprefix("nvtx-"))
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            one.ranges.update(record.get("ranges", {}))
            one.running += ("begun" in record) - ("ended" in record)
            one.parent = str(record.get("begun", {}).get("parent", one.parent))
            one.forked.update(record.get("forked", {}))
            one.errors.update(record.get("errors", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path}: {error}", fix="was the disk full? measure again") from None
    return one


def _notes(found: list[Emitted]) -> Iterator[str]:
    for python, error in sorted({item for one in found for item in one.errors.items()}):
        yield f"perfkit_core.region marked nothing in {python}: {error}; {python} -m pip install nvtx"
    forked = [one for one in found if one.forked]
    if forked:
        total = sum(one.forked.total() for one in forked)
        yield (
            f"{total} ranges of forked {_named(forked)} were not recorded: profilers miss children that are forked; "
            "start them by multiprocessing's method spawn, or by subprocess"
        )
    killed = [one for one in found if one.running]
    if killed:
        total = sum(one.ranges.total() for one in killed)
        yield (
            f"Of the {total} ranges that {_named(killed)} closed the last may be missing: a profiler may lose them "
            "where one is killed or ends by os._exit; close() and join() a multiprocessing.Pool, or it kills its own"
        )


def _named(processes: list[Emitted]) -> str:
    numbers = ", ".join(one.pid for one in processes)
    return f"process {numbers}" if len(processes) == 1 else f"processes {numbers}"
