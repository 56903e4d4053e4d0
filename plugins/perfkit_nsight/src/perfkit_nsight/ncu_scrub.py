"""Copies of ``.ncu-rep`` reports that are safe to share.

One or two blocks of a report describe the session (field 3): the machine, its addresses, the command line. Most name
the process (field 6). What tells of people and places is overwritten with ``x`` of the same length, so that nothing
moves. Of the command line, ncu's own name and how it replayed are kept. Seen in reports of ncu 2025.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from perfkit_core.errors import DamagedFileError
from perfkit_nsight.ncu_blocks import blocks_of, fields_of
from perfkit_nsight.ncu_session import REPLAY, TOOL

_SESSION, _PROCESS = 3, 6
_KEPT = ((3, 3, 1), (3, 3, 3), (3, 3, 4), (3, 4, 1), (3, 4, 3), (3, 4, 4), (3, 6), (3, 8))
"""Of the session: system, processor and architecture of both sides, the GPU, and versions of the tools."""

_SYSTEMS, _HOSTS, _COMMAND = ((3, 3, 1), (3, 4, 1)), ((3, 3, 5), (3, 4, 5)), (3, 11)
_PATH = re.compile(rb"(?<![\w:/.*<>)\]])/(?:[\w.+@~-]+/)+[\w.+@~-]*")
"""An absolute path; a file's own name is kept. No address of a page, and nothing inside names of kernels."""

_SHORTEST = 3
"""Characters of a host's or user's name from which on it is looked for in the rest of the file."""

_RUN = 8
"""Printable bytes in a row from which on they are taken for text, where no length before them says so."""

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
    names |= {found[1] for found in re.finditer(rb"/home/([\w.-]+)", data)}
    counts = {
        "machine and command line": _mask_session(data, blocks),
        "process": _mask_processes(data, blocks),
        "path": _mask_paths(data),
        "name": _mask_names(data, names),
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
    return all(32 <= byte < 127 for byte in value)


def _in_text(data: bytearray, begin: int, end: int) -> bool:
    """Tell whether bytes stand in a text: those of a number can look like a short path or name too."""
    while begin > 0 and 32 <= data[begin - 1] < 127:
        begin -= 1
    while end < len(data) and 32 <= data[end] < 127:
        end += 1
    return end - begin >= _RUN or (begin > 0 and data[begin - 1] == end - begin)


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


def _mask_paths(data: bytearray) -> int:
    found = []
    for match in _PATH.finditer(data):
        if not _in_text(data, *match.span()):
            continue
        last = match[0].rfind(b"/")
        found.append((match.start(), match.start() + last if b"." in match[0][last:] else match.end()))
    for begin, end in found:
        data[begin:end] = b"x" * (end - begin)
    return len(found)


def _mask_names(data: bytearray, names: set[bytes]) -> int:
    count = 0
    for name in sorted(names):
        if len(name) >= _SHORTEST and name.strip(b"x"):
            for match in list(re.finditer(rb"(?<![\w])" + re.escape(name) + rb"(?![\w])", data)):
                if _in_text(data, *match.span()):
                    data[match.start() : match.end()] = b"x" * len(name)
                    count += 1
    return count
