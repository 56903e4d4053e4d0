"""Writing what a profiler saw: the files of a run that hold work by region, whatever tool recorded it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from perfkit_core.backend import PassContext
from perfkit_core.capture_pages import Origin, kernels_page, operators_page
from perfkit_core.errors import MissingError
from perfkit_core.region_pages import regions_page
from perfkit_core.regions import SEEK
from perfkit_core.rundir import KERNELS, KERNELS_TABLE, OPERATORS, REGIONS, REGIONS_PAGE, RunWriter
from perfkit_core.schema.regions import RegionsReport

_log = logging.getLogger(__name__)

_TEXTS = ("region", "kind", "name", "grid", "block")
_COLUMNS = ("region", "device", "kind", "name", "grid", "block", "calls", "total_ns")


def write_capture(context: PassContext, report: RegionsReport) -> None:
    """Write what a pass of a profiler recorded: ``regions.json``, its pages and ``kernels.parquet``.

    ``regions.json`` is ``report``, which should say nothing but what was recorded. What only the pass knows belongs in
    ``context.notes``, before this is called: the pages show these notes too.

    Raises:
        MissingError: A file cannot be written.
    """
    write_regions(context.writer, report, source=context.name, notes=context.notes)


def write_regions(writer: RunWriter, report: RegionsReport, *, source: str, notes: Sequence[str]) -> None:
    """Write ``regions.json``, ``regions.md``, ``operators.md``, ``kernels.md`` and ``kernels.parquet``.

    ``operators.md`` is written when the profiler saw operators, so that one of an earlier pass stays. Without
    pyarrow there is no ``kernels.parquet``, which a note of the run says.

    Args:
        report: What to write.
        source: Name of the pass that recorded it, which ``run.json`` gives for every one of these files.
        notes: What only that pass knows of it, for the pages.

    Raises:
        MissingError: A file cannot be written.
    """
    if any(row.path.endswith(SEEK) for row in report.regions):
        note = (
            f"Regions whose names end in {SEEK} bring a sampled loop to the next iteration that is measured: "
            "they are in this recording and in no whole run"
        )
        report = report.model_copy(update={"limits": tuple(dict.fromkeys((*report.limits, note)))})
    origin = Origin(source, notes)
    written = [REGIONS, REGIONS_PAGE, KERNELS]
    writer.write_json(REGIONS, report)
    writer.write_text(REGIONS_PAGE, regions_page(report, origin))
    writer.write_text(KERNELS, kernels_page(report, origin))
    if report.operators:
        writer.write_text(OPERATORS, operators_page(report, origin))
        written.append(OPERATORS)
    if _write_table(writer, report):
        written.append(KERNELS_TABLE)
    writer.update(file_passes={**writer.index.file_passes, **dict.fromkeys(written, source)})


def _write_table(writer: RunWriter, report: RegionsReport) -> bool:
    """Write the kernels as Parquet and return True; False where nothing here can."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        note = "kernels.parquet is not written, it needs pyarrow: pip install 'perfkit-core[parquet]'"
        _log.warning("%s", note)
        writer.update(notes=(*writer.index.notes, note))
        return False
    columns: dict[str, Any] = {name: pyarrow.string() for name in _TEXTS}
    columns |= {"device": pyarrow.int32(), "calls": pyarrow.int64(), "total_ns": pyarrow.int64()}
    schema = pyarrow.schema([(name, columns[name]) for name in _COLUMNS])
    data = {name: [getattr(row, name) for row in report.kernels] for name in _COLUMNS}
    target = writer.path / KERNELS_TABLE
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        pyarrow.parquet.write_table(pyarrow.table(data, schema=schema), temporary)
        temporary.replace(target)
    except OSError as error:
        raise MissingError(f"cannot write {target}: {error}", fix="free some space or choose another --out") from None
    finally:
        temporary.unlink(missing_ok=True)
    writer.add_files([target])
    return True
