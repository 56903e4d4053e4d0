"""Writing what a profiler saw: the files of a run that hold work by region, whatever tool recorded it."""

from __future__ import annotations

import logging
from typing import Any

from perfkit_core.capture_pages import kernels_page, operators_page, regions_page
from perfkit_core.errors import MissingError
from perfkit_core.regions import SEEK
from perfkit_core.rundir import KERNELS, KERNELS_TABLE, OPERATORS, REGIONS, REGIONS_PAGE, RunWriter
from perfkit_core.schema.regions import RegionsReport

_log = logging.getLogger(__name__)

_TEXTS = ("region", "kind", "name", "grid", "block")
_COLUMNS = ("region", "device", "kind", "name", "grid", "block", "calls", "total_ns")


def write_capture(writer: RunWriter, report: RegionsReport) -> None:
    """Write ``regions.json``, ``regions.md``, ``operators.md``, ``kernels.md`` and ``kernels.parquet``.

    ``operators.md`` is written when the profiler saw operators, so that one of an earlier pass stays. Without
    pyarrow there is no ``kernels.parquet``, which a note of the run says.

    Raises:
        MissingError: A file cannot be written.
    """
    if any(row.path.endswith(SEEK) for row in report.regions):
        note = f"Regions whose names end in {SEEK} reach the next place measured of a loop; the workload has none"
        report = report.model_copy(update={"limits": (*report.limits, note)})
    writer.write_json(REGIONS, report)
    writer.write_text(REGIONS_PAGE, regions_page(report))
    writer.write_text(KERNELS, kernels_page(report))
    if report.operators:
        writer.write_text(OPERATORS, operators_page(report))
    _write_table(writer, report)


def _write_table(writer: RunWriter, report: RegionsReport) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        note = "kernels.parquet is not written, it needs pyarrow: pip install 'perfkit-core[parquet]'"
        _log.warning("%s", note)
        writer.update(notes=(*writer.index.notes, note))
        return
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
