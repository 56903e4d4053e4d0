"""Exporter ``csv``: the modules of a run as one table, for spreadsheets and data frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from perfkit_core.errors import MissingError
from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


class CsvOptions(Options):
    """Parameters of the exporter, as ``--set csv.<name>=value``."""

    delimiter: Literal["comma", "semicolon", "tab"] = Field(
        default="comma", description="what separates the columns: comma|semicolon|tab"
    )


def export_csv(run: Run, path: Path, options: CsvOptions) -> list[Path]:
    """Write one row per module: every field of ``modules`` in ``analytic/report.json`` but ``ops``.

    Integers are written in full, without rounding.

    Returns:
        The file written.

    Raises:
        MissingError: The run has no analytic report, or the file cannot be written.
        DamagedFileError: The report is damaged or was left out.
    """
    import csv

    from perfkit_core.files import write_atomically
    from perfkit_core.schema.analytic import ModuleRecord

    if run.report is None:
        run.demand("analytic/report.json")
        raise MissingError(
            f"run {run.path} has no analytic/report.json",
            fix="repeat the run with backend analytic"
            if run.index.kind == "model"
            else "perfkit import FILE --model M --workload W adds it",
        )
    columns = [name for name in ModuleRecord.model_fields if name != "ops"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=_DELIMITERS[options.delimiter], lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(module, name) for name in columns] for module in run.report.modules)
    write_atomically(path, text.getvalue())
    return [path]
