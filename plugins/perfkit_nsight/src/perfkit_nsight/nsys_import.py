"""Importing what nsys recorded: SQLite exports as they are, ``.nsys-rep`` reports by way of an export."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import Field

from perfkit_core.errors import DamagedFileError, ToolError
from perfkit_core.importer import ImportContext, Imported
from perfkit_core.options import Options
from perfkit_core.schema.regions import RegionsReport

SQLITE, REPORT = ".sqlite", ".nsys-rep"
_SQLITE_MAGIC, _REPORT_MAGIC = b"SQLite format 3\x00", b"NVIDIA Tegra Profiler Report"
_TOOL = "Nsight Systems"


class NsysImportOptions(Options):
    """Parameters of the importer."""

    per_device: bool = Field(default=True, description="rows per process and device besides their sum (true|false)")
    aggregate: bool = Field(default=True, description="a row per region over all processes and devices (true|false)")


def sniff(path: Path, head: bytes) -> bool:
    """Tell whether a file is SQLite or a report of nsys."""
    return head.startswith((_SQLITE_MAGIC, _REPORT_MAGIC))


def load(context: ImportContext) -> Imported:
    """Attribute all device work to regions.

    Raises:
        DamagedFileError: The file is damaged, cut off, or of something else.
        MissingError: It has a newer schema than this version knows, or is a ``.nsys-rep``, and there is no usable nsys
            to export it, or only an older one.
    """
    options = context.options
    if not isinstance(options, NsysImportOptions):
        raise TypeError(f"expected NsysImportOptions, got {type(options).__name__}")
    with context.path.open("rb") as file:
        is_export = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    if is_export:
        return _attributed(context.path, options)
    with tempfile.TemporaryDirectory() as folder:
        return _attributed(_exported(context.path, Path(folder) / f"export{SQLITE}"), options)


def _exported(report: Path, target: Path) -> Path:
    from perfkit_nsight.nsys_export import export_sqlite
    from perfkit_nsight.nsys_tool import usable_nsys

    tool = usable_nsys(os.environ)
    try:
        export_sqlite(tool, report, target)
    except ToolError as error:
        raise DamagedFileError(error.message, fix=error.fix) from error
    return target


def _attributed(export: Path, options: NsysImportOptions) -> Imported:
    from perfkit_nsight.attribution import attribute
    from perfkit_nsight.nsys_schema import open_export
    from perfkit_nsight.nsys_tables import read_export

    found: RegionsReport = attribute(read_export(export), aggregate=options.aggregate)
    if not options.per_device:
        rows = tuple(row for row in found.regions if row.process is None and row.device is None)
        found = found.model_copy(update={"regions": rows})
    return Imported(tool=_TOOL, version=open_export(export).product, report=found)
