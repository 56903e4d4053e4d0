"""Blocks of ``.ncu-rep`` reports, and the messages in them.

A report is ``NVR``, a size and a short header, then blocks: a size of four bytes, and a message in the wire format of
protocol buffers. Seen in reports of ncu 2025.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

from perfkit_core.errors import DamagedFileError

Bytes = bytearray | mmap
"""A whole report."""


def blocks_of(data: Bytes, path: Path) -> Iterator[tuple[int, int]]:
    """Yield where each block's message begins and ends.

    Raises:
        DamagedFileError: It is cut off, or no such file.
    """
    place = 8 + int.from_bytes(data[4:8], "little")
    while place < len(data):
        begin = place + 4
        place = begin + int.from_bytes(data[place:begin], "little")
        if begin > len(data) or place > len(data) or place == begin - 4:
            raise DamagedFileError(f"{path} is cut off, or of a kind that is not known", fix="profile again")
        yield begin, place


def fields_of(data: Bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of the fields with a length in a message.

    Raises:
        ValueError: It is no message.
    """
    while begin < end:
        key, begin = _varint(data, begin, end)
        number, kind = key >> 3, key & 7
        if number == 0 or kind in (3, 4, 6, 7):
            raise ValueError("no message")
        if kind == 0:
            _, begin = _varint(data, begin, end)
            continue
        if kind == 2:
            size, begin = _varint(data, begin, end)
            yield number, begin, begin + size
        else:
            size = 8 if kind == 1 else 4
        begin += size
        if begin > end:
            raise ValueError("no message")


def _varint(data: Bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end:
        value |= (data[place] & 127) << shift
        shift += 7
        place += 1
        if data[place - 1] < 128:
            return value, place
    raise ValueError("no message")
