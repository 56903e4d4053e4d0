"""The tab-separated exporter: a row per module of the analytic report."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit_core.errors import MissingError
from perfkit_example_plugin.options import TsvOptions

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

HEADER = ("path", "category", "calls", "flops", "parameters", "weight_bytes")


def export_tsv(run: Run, path: Path, options: TsvOptions) -> Sequence[Path]:
    """Write ``path`` and return the files written.

    Raises:
        MissingError: The run has no analytic report.
    """
    if run.report is None:
        raise MissingError(f"{run.path} has no analytic report to export", fix="perfkit run --model MODEL --out DIR")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, dialect="excel-tab", lineterminator="\n")
        table.writerow(HEADER)
        for module in run.report.modules:
            if options.own:
                values = (module.own_flops, module.own_parameters, module.own_weight_bytes)
            else:
                values = (module.flops, module.parameters, module.weight_bytes)
            table.writerow((module.path, module.category, module.calls, *values))
    return [path]
