"""Make the derived files of recorded runs again, with the perfkit that is installed, from what the tools recorded.

    python benchmarks/derive.py RUN ...

The costs are computed again, the raw captures of ``passes/`` imported, and every page rendered, in place. What was
measured, the records of the passes and of the machine stay as they are, but for the note on what part has counters.
Files that are compressed (``.xz``) stay so.
"""

from __future__ import annotations

import lzma
import re
import shutil
import sys
import tempfile
from pathlib import Path

from perfkit_core import api
from perfkit_core.captures import write_regions
from perfkit_core.counters import write_counters
from perfkit_core.driver import write_reports
from perfkit_core.rundir import ANALYTIC_REPORT, COUNTERS, REGIONS, RunWriter, open_run
from perfkit_core.schema.counters import CountersReport
from perfkit_core.settings import Settings
from perfkit_core.units import format_share

_CAPTURES = ("capture.sqlite", "counters.ncu-rep")
_TOLD = ("Replay: ",)
"""What a pass says in its notes and the page of counters shows too."""


def main() -> None:
    """Derive every run that is named."""
    for name in sys.argv[1:]:
        path = Path(name)
        packed = sorted(path.rglob("*.xz"))
        for file in packed:
            file.with_suffix("").write_bytes(lzma.decompress(file.read_bytes()))
            file.unlink()
        derive(path)
        for file in packed:
            file.write_bytes(lzma.compress(file.with_suffix("").read_bytes()))
            file.with_suffix("").unlink()
        print(path, flush=True)


def derive(path: Path) -> None:
    """Write costs, regions, counters and pages of one run again."""
    writer = open_run(path)
    passes = {record.directory: record for record in writer.index.passes}
    files = [file for name in _CAPTURES for file in sorted(path.glob(f"passes/*/{name}"))]
    with tempfile.TemporaryDirectory() as scratch:
        if writer.index.kind == "model":
            costs = api.run(config=path / "config.yaml", backends=["analytic"], out=Path(scratch) / "costs")
            assert costs.report is not None
            writer.write_json(ANALYTIC_REPORT, costs.report)
            shutil.copy(costs.path / "assumptions.md", path / "assumptions.md")
        imported = api.import_files(files, out=Path(scratch) / "imported")
        profile, counters = imported.profile, imported.counters
    if profile is not None and any(file.suffix == ".sqlite" for file in files):
        source = writer.index.file_passes[REGIONS]
        write_regions(writer, profile, source=source, notes=passes[source].notes)
    if counters is not None and any(file.suffix == ".sqlite" for file in files):
        source = writer.index.file_passes[COUNTERS]
        shutil.rmtree(path / Path(COUNTERS).parent)
        told = [note for note in passes[source].notes if note.startswith(_TOLD)]
        write_counters(writer, counters, source=source, told=told)
        covered(writer, counters, source)
    failures = write_reports(writer, Settings())
    if failures:
        raise SystemExit(str(failures))
    writer.update()


def covered(writer: RunWriter, counters: CountersReport, source: str) -> None:
    """Say in the pass's notes what part of the kernel time has counters now: other rules may leave out more or less."""
    times = [(kernel.total_ns, kernel.measured_calls) for kernel in counters.kernels]
    share = format_share(sum(time for time, calls in times if calls) / max(1, sum(time for time, _ in times)))
    passes = []
    for record in writer.index.passes:
        notes = [re.sub(r"^(Counters stand for) [\d.]+ %", rf"\1 {share}", note) for note in record.notes]
        passes.append(record.model_copy(update={"notes": tuple(notes)}) if record.directory == source else record)
    writer.update(passes=tuple(passes))


if __name__ == "__main__":
    main()
