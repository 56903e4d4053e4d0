"""What an importer is given and returns: the reader of a file that another tool wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.schema.counters import CountersReport
    from perfkit_core.schema.regions import RegionsReport
    from perfkit_core.specs import DeviceSpec


@dataclass(frozen=True, kw_only=True)
class ImportContext:
    """What an importer is given for one file. The run is made once all files were read, so a damaged one leaves none.

    Attributes:
        path: The file; it must not be changed, and nothing may be written beside it.
        options: Validated options of the importer.
    """

    path: Path
    options: Options


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a file was found to hold.

    Attributes:
        tool: Name of the tool that recorded it.
        version: Version of that tool; empty when the file does not say.
        report: Work by region; None when the file has nothing of the kind.
        files: What else to keep, by name relative to the import's own directory in the run: text, or plain values to
            write as JSON.
        notes: What the reader of the run must know, one line each.
        counters: Given work by region and the known GPUs, returns hardware counters by region. The work is that of the
            timeline that is imported with the file, or ``report``. None when the file has no counters.
    """

    tool: str
    version: str = ""
    report: RegionsReport | None = None
    files: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    counters: Callable[[RegionsReport, Sequence[DeviceSpec]], CountersReport] | None = None
