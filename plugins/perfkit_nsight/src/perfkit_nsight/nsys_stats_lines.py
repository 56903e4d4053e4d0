"""Rows of ``nvtx_kern_sum`` of ``nsys stats``: kernels in ranges, and what they tell for sure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from perfkit_core.errors import DamagedFileError
from perfkit_nsight.paths import segment
from perfkit_nsight.tables import nanoseconds, number, plain

AGAIN = "nsys stats --report cuda_gpu_kern_sum,nvtx_kern_sum --format csv REPORT.nsys-rep > FILE"
_OLD = "nvtxkernsum"  # what nsys 2022.4 and older call the report; they write no colon before names without a domain
_COLON = re.compile("(?<!:):(?!:)")
_NONE: Final = frozenset({"", "None"})


@dataclass(frozen=True, kw_only=True)
class Table:
    """One report.

    Attributes:
        name: Name of the report; empty when the file does not say.
        units: Unit by column; empty for a column without.
        rows: Cells by column, as text.
    """

    name: str
    units: Mapping[str, str]
    rows: Sequence[Mapping[str, str]]


class Work(NamedTuple):
    """Kernels, and their time in nanoseconds."""

    kernels: int
    time: int

    def more(self, *others: Work) -> Work:
        """Return the sum."""
        return Work(self.kernels + sum(one.kernels for one in others), self.time + sum(one.time for one in others))

    def less(self, *others: Work) -> Work:
        """Return the difference."""
        taken = Work(0, 0).more(*others)
        return Work(self.kernels - taken.kernels, self.time - taken.time)


class Line(NamedTuple):
    """A row of ``nvtx_kern_sum``: one kernel in one range on one thread.

    Attributes:
        place: Process, thread and kernel.
        style: ``PushPop`` or ``StartEnd``; empty where no range was open.
        domain: Domain of the range.
        name: Its name.
        opened: How many instances of the range hold the kernel; None where the table does not say.
        work: Kernels and their time.
        again: Whether the range nests in itself, so that a kernel's time was added more than once.
        least: Kernels, and the time that they took at least.
    """

    place: tuple[str, str, str]
    style: str
    domain: str
    name: str
    opened: int | None
    work: Work
    again: bool
    least: Work


def is_marked(table: Table) -> bool:
    """Whether a colon stands before the names of ranges without a domain, as newer versions of nsys write them."""
    cells = (row["NVTX Range"] for row in table.rows)
    return table.name != _OLD and any(cell.startswith(":") and not cell.startswith("::") for cell in cells)


def _domain_and_name(text: str, *, marked: bool) -> tuple[str, str]:
    if marked and text.startswith(":"):
        return "", text[1:]
    colon = _COLON.search(text)
    domain, name = ("", text) if colon is None else (text[: colon.start()], text[colon.end() :])
    # Without the mark "autograd::engine::evaluate_function: MmBackward0" is a name, and "perfkit:step" has a domain.
    return ("", text) if not marked and (not domain or "::" in domain or name[:1] in {"", " "}) else (domain, name)


def lines_of(path: Path, table: Table) -> Iterator[Line]:
    """Yield the rows.

    Raises:
        DamagedFileError: A number is none.
    """
    marked, unit = is_marked(table), table.units["Total Time"]
    for row in table.rows:
        style = "" if row["Style"] in _NONE else row["Style"]
        domain, name = _domain_and_name(row["NVTX Range"], marked=marked) if style else ("", "")
        work = Work(count(path, row["Kern Inst"]), time_of(path, row["Total Time"], unit))
        again = _adds_again(row, work.kernels)
        shortest = nanoseconds(row.get("Min", ""), table.units.get("Min", "")) or 0
        yield Line(
            place=(row.get("PID", ""), row.get("TID", ""), row["Kernel Name"]),
            style=style,
            domain=domain,
            name=name,
            opened=count(path, row["NVTX Inst"]) if "NVTX Inst" in row else None,
            work=work,
            again=again,
            least=Work(work.kernels, min(work.time, shortest * work.kernels)) if again else work,
        )


def _adds_again(row: Mapping[str, str], kernels: int) -> bool:
    """Whether more times were added up than there are kernels; the mean is rounded to its last digit."""
    total, mean = number(row["Total Time"]), number(row.get("Avg", ""))
    if total is None or mean is None:
        return False
    rounding = (Decimal(1).scaleb(int(one.as_tuple().exponent)) for one in (mean, total))
    return total - mean * kernels > next(rounding) * kernels + next(rounding)


def known(places: Mapping[Any, Sequence[Line]], domain: str | None) -> tuple[Work, dict[str, Work]]:
    """Return what surely ran outside a domain, of None outside all push/pop ranges; and by path inside one alone."""
    outside, inside = Work(0, 0), dict[str, Work]()
    for held in places.values():
        outside = outside.more(*(line.work for line in held if not line.style))
        ranges = [line for line in held if line.style]
        own = [line for line in ranges if line.style == "PushPop" and domain in {None, line.domain}]
        if not own and len(ranges) == 1:
            outside = outside.more(ranges[0].least)
        if len(own) == 1 and not own[0].again:
            path = segment(own[0].name)
            inside[path] = inside.get(path, Work(0, 0)).more(own[0].work)
    return outside, inside


def count(path: Path, text: str) -> int:
    """Return a count.

    Raises:
        DamagedFileError: It is none.
    """
    found = plain(text)
    if not isinstance(found, int) or found < 0:
        raise DamagedFileError(f"{path} is damaged: {text!r:.40} is no count", fix=AGAIN)
    return found


def time_of(path: Path, text: str, unit: str) -> int:
    """Return a time in nanoseconds.

    Raises:
        DamagedFileError: It is none.
    """
    found = nanoseconds(text, unit)
    if found is None:
        raise DamagedFileError(f"{path} is damaged: {text!r:.40} is no time in {unit!r:.20}", fix=AGAIN)
    return found
