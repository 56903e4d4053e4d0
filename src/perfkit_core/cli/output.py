"""Everything that commands print on stdout, and the log on stderr."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfkit_core.cli.streams import discard, output
from perfkit_core.texts import visible

if TYPE_CHECKING:
    from perfkit_core.schema.base import Record


def emit(text: str) -> None:
    """Print ``text``, its control characters made visible; a reader that has gone away is no error."""
    _write(visible(text))


def _write(text: str) -> None:
    stream = output()
    try:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()
    except BrokenPipeError:
        discard(stream)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        _write(text.encode(encoding, "backslashreplace").decode(encoding))


def emit_json(content: Record | Mapping[str, Any] | list[Any]) -> None:
    """Print a record or plain values as JSON in ASCII."""
    plain = content if isinstance(content, Mapping | list) else content.as_dict()
    emit(json.dumps(plain, indent=2, allow_nan=False))


def width() -> int | None:
    """Return the columns of the terminal; None where the output is no terminal and lines may have any length."""
    return shutil.get_terminal_size().columns if output().isatty() else None


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table; columns whose index is in ``right`` are aligned to the right."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = output().isatty()
    table = Table(box=None, pad_edge=False)
    aligned = set(right)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in aligned else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    # Off a terminal nothing may be wrapped: other programs read the lines.
    console = Console(file=StringIO(), force_terminal=terminal, width=None if terminal else 100_000)
    with console.capture() as captured:
        console.print(table)
    _write("\n".join(line.rstrip() for line in captured.get().splitlines()))


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def log_to_stderr(*, debug: bool) -> None:
    """Send perfkit's log to stderr: warnings and progress, with ``debug`` everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("perfkit: %(message)s"))
    for name in ("perfkit", "perfkit_core"):
        log = logging.getLogger(name)
        log.handlers[:] = [handler]
        log.propagate = False
        log.setLevel(logging.DEBUG if debug else logging.INFO)
