"""Copies of ``.ncu-rep`` reports that are safe to share.

One or two blocks of a report describe the session (field 3): the machine, its addresses, the command line. Most name
the process (field 6). What tells of people and places is overwritten with ``x`` of the same length, so that nothing
moves. Of the command line, ncu's own name and how it replayed are kept. Seen in reports of ncu 2025.3.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

from perfkit_core.errors import DamagedFileError
from perfkit_nsight.ncu_blocks import blocks_of, fields_of
from perfkit_nsight.ncu_session import REPLAY, TOOL

_SESSION, _PROCESS = 3, 6
_KEPT = ((3, 3, 1), (3, 3, 3), (3, 3, 4), (3, 4, 1), (3, 4, 3), (3, 4, 4), (3, 6), (3, 8))
"""Of the session: system, processor and architecture of both sides, the GPU, and versions of the tools."""

_SYSTEMS, _HOSTS, _COMMAND = ((3, 3, 1), (3, 4, 1)), ((3, 3, 5), (3, 4, 5)), (3, 11)
_PATH = re.compile(rb"(?<![\w:/.*<>)\]])/(?:[\w.+@~\x80-\xff-]+/)+[\w.+@~\x80-\xff-]*")
"""An absolute path; a file's own name is kept. No address of a page, and nothing inside names of kernels."""

_SHORTEST = 3
"""Characters of a host's or user's name from which on it is looked for in the rest of the file."""

_LONG = 8
"""Letters of a path or name from which on it is one in bytes that are no text, such as code."""

_MAX_DEPTH = 8


def scrub(path: Path, output: Path) -> Sequence[str]:
    """Write a copy without host, addresses, command line, working directory, users and paths; numbers stay.

    Returns:
        What was taken out, one line each.

    Raises:
        DamagedFileError: It is no report, or is cut off, or the copy would not hold the same results.
    """
    from perfkit_nsight.ncu_rep import read_counters

    before = read_counters(path)
    data = bytearray(path.read_bytes())
    blocks = list(blocks_of(data, path))
    names = {bytes(data[begin:end]) for fields, begin, end in _session(data, blocks) if fields[:3] in _HOSTS}
    names |= {found[1] for found in re.finditer(rb"/home/([\w.\x80-\xff-]+)", data)}
    counts = {
        "machine and command line": _mask_session(data, blocks),
        "process": _mask_processes(data, blocks),
        "path": _mask(data, blocks, _PATH, b"/"),
        "name": sum(_mask(data, blocks, _name(name), name) for name in sorted(names) if len(name) >= _SHORTEST),
    }
    output.write_bytes(data)
    after = read_counters(output)
    if (before.metrics, before.results) != (after.metrics, after.results):
        output.unlink()
        raise DamagedFileError(
            f"{path} cannot be scrubbed: its copy would hold other numbers",
            fix=f"perfkit import {path.name} keeps them",
        )
    return [f"{count} of {what}" for what, count in counts.items() if count]


def _leaves(
    data: bytearray, begin: int, end: int, above: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield the texts of a message with the numbers of the fields that lead there."""
    for number, first, last in list(fields_of(data, begin, end)):
        fields = (*above, number)
        if not _is_text(data[first:last]) and len(fields) < _MAX_DEPTH:
            try:
                yield from list(_leaves(data, first, last, fields))
                continue
            except ValueError:
                pass  # bytes that are neither text nor a message
        yield fields, first, last


def _is_text(value: bytearray) -> bool:
    """Tell whether bytes are a text: UTF-8, as names of people and their directories may be, without control bytes."""
    try:
        return all(32 <= ord(letter) != 127 for letter in value.decode())
    except UnicodeDecodeError:
        return False


def _holding(
    data: bytearray, begin: int, end: int, places: Sequence[int], depth: int = 0
) -> Iterator[tuple[int, int, bool]]:
    """Yield begin and end of the innermost values that hold one of these places, and whether each is a text.

    Places in none are those of numbers, and of lengths, whose bytes can look like the beginning of a path too.
    """
    try:
        fields = list(fields_of(data, begin, end))
    except ValueError:
        yield begin, end, False
        return
    for _, first, last in fields:
        held = places[bisect_left(places, first) : bisect_left(places, last)]
        if held and (_is_text(data[first:last]) or depth == _MAX_DEPTH):
            yield first, last, depth < _MAX_DEPTH
        elif held:
            yield from _holding(data, first, last, held, depth + 1)


def _mask(data: bytearray, blocks: Sequence[tuple[int, int]], pattern: re.Pattern[bytes], inside: bytes) -> int:
    """Overwrite what a pattern finds in texts, and in other bytes where it is long; of a path, not the file's name.

    Args:
        inside: What everything that the pattern finds has in it.
    """
    places, count = [match.start() for match in re.finditer(re.escape(inside), data)], 0
    for begin, end in blocks:
        held = places[bisect_left(places, begin) : bisect_left(places, end)]
        for first, last, text in list(_holding(data, begin, end, held)) if held else ():
            for match in pattern.finditer(bytes(data[first:last])):
                if text or len(match[0]) >= _LONG:
                    kept = match[0].rfind(b"/")
                    until = match.start() + kept if b"." in match[0][kept:] and kept > 0 else match.end()
                    data[first + match.start() : first + until] = b"x" * (until - match.start())
                    count += 1
    return count


def _session(data: bytearray, blocks: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield the texts that describe the session: its messages name a system or hold the command line, others do not."""
    for begin, end in blocks:
        try:
            messages = [one for one in fields_of(data, begin, end) if one[0] == _SESSION]
            found = [list(_leaves(data, first, last, (_SESSION,))) for _, first, last in messages]
        except ValueError:
            continue  # a block without a message of that kind
        for leaves in found:
            if any(fields in _SYSTEMS or fields == _COMMAND for fields, _, _ in leaves):
                yield from leaves


def _mask_session(data: bytearray, blocks: Sequence[tuple[int, int]]) -> int:
    found = [
        (fields, begin, end)
        for fields, begin, end in _session(data, blocks)
        if begin < end and not any(fields[: len(kept)] == kept for kept in _KEPT)
    ]
    for fields, begin, end in found:
        text = bytes(data[begin:end])
        data[begin:end] = b"x" * (end - begin)
        for kept in (TOOL.match(text), REPLAY.search(text)) if fields == _COMMAND else ():
            if kept is not None:
                data[begin + kept.start("kept") : begin + kept.end("kept")] = kept["kept"]
    return len(found)


def _mask_processes(data: bytearray, blocks: Sequence[tuple[int, int]]) -> int:
    """Overwrite the host of every process, and the directory of its program."""
    count = 0
    for begin, end in blocks:
        try:
            found = [(first, last) for number, first, last in fields_of(data, begin, end) if number == _PROCESS]
            texts = [one for first, last in found for one in fields_of(data, first, last)]
        except ValueError:
            continue  # a block without a message of that kind
        for number, first, last in texts:
            if not _is_text(data[first:last]):
                continue
            keep = data[first:last].rfind(b"/") + 1 if number == _SESSION else 0
            until = first + keep if number == _SESSION else last
            data[first:until] = b"x" * (until - first)
            count += until > first
    return count


def _name(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![\w])" + re.escape(name) + rb"(?![\w])")
