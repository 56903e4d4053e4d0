"""Tables in what profilers print as CSV: found between other lines, numbers as they are meant, units read."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from perfkit_core.errors import DamagedFileError, MissingError

TIMES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("ns", "nsec", "nsecond"), 1),
    **dict.fromkeys(("us", "usec", "usecond", "µs", "μs"), 10**3),
    **dict.fromkeys(("ms", "msec", "msecond"), 10**6),
    **dict.fromkeys(("s", "sec", "second"), 10**9),
}
"""Nanoseconds in a unit of time, in the spellings of ncu and nsys."""

ABSENT: Final = frozenset({"", "n/a", "nan", "-nan", "inf", "-inf"})
"""What stands in place of a number that there is not."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LARGEST_EXPONENT = 300


def number(text: str) -> Decimal | None:
    """Return a number, with or without thousands separators; None for a text that is none."""
    text = text.strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    elif not _PLAIN.fullmatch(text):
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return None
    return found if abs(found.adjusted()) <= _LARGEST_EXPONENT else None


def plain(text: str) -> int | float | str | None:
    """Return a cell as JSON has it: a number where it is one, null where there is none, else the text."""
    found = number(text)
    if found is None:
        return None if text.strip().lower() in ABSENT else text
    return int(found) if found == found.to_integral_value() else float(found)


def nanoseconds(text: str, unit: str) -> int | None:
    """Return a time in whole nanoseconds; None where it is no number, or the unit none of time."""
    found, factor = number(text), TIMES.get(unit.strip())
    return None if found is None or factor is None else int((found * factor).to_integral_value())


def text_of(head: bytes) -> str:
    """Return the beginning of a file as text, to look at: what is no text is replaced."""
    return head.decode("utf-16" if head.startswith(_UTF_16) else "utf-8-sig", "replace").replace("\r\n", "\n")


def read_text(path: Path) -> str:
    """Return the text of a file, UTF-8 or, as PowerShell redirects output, UTF-16 with its mark.

    Raises:
        MissingError: It cannot be read.
        DamagedFileError: It is neither.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        whole = "UTF-16 text that is cut off or damaged" if error.encoding.startswith("utf-16") else "no UTF-8 text"
        raise DamagedFileError(f"{path} is {whole}", fix="write it again, without converting it") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}", fix="check the path") from None


def rows_of(path: Path, lines: Sequence[str], *, again: str) -> Iterator[list[str]]:
    """Yield the rows of a table; a cell may span lines.

    Args:
        again: How such a file is written, for the error.

    Raises:
        DamagedFileError: A quoted cell is not closed: the file is cut off.
    """
    try:
        yield from csv.reader(lines, strict=True)
    except csv.Error as error:
        raise DamagedFileError(f"{path} is cut off or damaged: {error}", fix=again) from None
