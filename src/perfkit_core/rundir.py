"""The run directory: atomic writes, an index that always tells how far the run got, and reading it back."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.errors import MissingError, UsageError
from perfkit_core.files import name_inside, yaml_text
from perfkit_core.files import write_atomically as write_atomically  # noqa: PLC0414 - part of this interface too
from perfkit_core.records import AnyRecord, missing_record, packed_name
from perfkit_core.records import read_record as read_record  # noqa: PLC0414 - part of this interface too
from perfkit_core.schema.base import Record
from perfkit_core.schema.run import RunIndex

if TYPE_CHECKING:
    from perfkit_core.schema.analytic import AnalyticReport
    from perfkit_core.schema.counters import CountersReport
    from perfkit_core.schema.metrics import Metrics
    from perfkit_core.schema.regions import RegionsReport
    from perfkit_core.schema.run import Environment, PassRecord
    from perfkit_core.schema.verify import VerifyReport

INDEX = "run.json"
ANALYTIC_REPORT = "analytic/report.json"
ANALYTIC_SUMMARY = "analytic/summary.md"
VERIFY_LAYERS = "verify/layers.json"
VERIFY_TOTALS = "verify/end2end.json"
CONFIG = "config.yaml"
ENVIRONMENT = "env.json"
ASSUMPTIONS = "assumptions.md"
INPUTS = "inputs.yaml"
METRICS = "metrics.json"
REGIONS, REGIONS_PAGE = "regions.json", "regions.md"
OPERATORS, KERNELS, KERNELS_TABLE = "operators.md", "kernels.md", "kernels.parquet"
COUNTERS, COUNTERS_PAGE = "ncu/regions/report.json", "ncu/regions/report.md"
SESSION = "session.json"
"""File in a pass's directory: what its worker saw."""
REPORT, STAKEHOLDER_SUMMARY = "report.md", "stakeholder_summary.md"
_RECORDS = frozenset({ANALYTIC_REPORT, VERIFY_LAYERS, METRICS, REGIONS, COUNTERS, ENVIRONMENT})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run directory as it was when it was read. Records are read at first use.

    A run may be passed on without some of its files: records that are listed but not there are lacking, as if no pass
    had made them, and ``left_out`` names them. Records may be compressed too, as ``NAME.xz``.

    Attributes:
        path: The directory.
        index: Its ``run.json``.

    Raises:
        DamagedFileError: By any record: its file is damaged or of an unknown schema.
    """

    path: Path
    index: RunIndex

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """Records that ``run.json`` lists and that are not there, in the order of the files."""
        return tuple(name for name in self.index.files if name in _RECORDS and not _is_there(self.path / name))

    def has(self, name: str) -> bool:
        """Whether the run lists a file that is there."""
        return name in self.index.files and _is_there(self.path / name)

    def demand(self, name: str) -> None:
        """Raise if a record that the caller cannot do without was left out.

        Raises:
            DamagedFileError: It is listed and not there.
        """
        if name in self.left_out:
            raise missing_record(self.path / name)

    @property
    def left_out_note(self) -> str:
        """What pages say of ``left_out``, in one line; empty where nothing was."""
        if not self.left_out:
            return ""
        verb = "are" if len(self.left_out) > 1 else "is"
        names = ", ".join(self.left_out)
        return f"{names} {verb} listed in {INDEX} but not there: what only these files tell is left out"

    @cached_property
    def report(self) -> AnalyticReport | None:
        """The analytic report; None when the run has none."""
        from perfkit_core.schema.analytic import AnalyticReport
        from perfkit_core.schema.consistency import report_of_index_problem

        return self._listed(ANALYTIC_REPORT, AnalyticReport, report_of_index_problem)

    @cached_property
    def verification(self) -> VerifyReport | None:
        """The comparison with the real implementation; None when the run was not verified."""
        from perfkit_core.schema.consistency import verification_of_index_problem
        from perfkit_core.schema.verify import VerifyReport

        return self._listed(VERIFY_LAYERS, VerifyReport, verification_of_index_problem)

    @cached_property
    def metrics(self) -> Metrics | None:
        """What the run was measured to cost; None without a ``wall_clock`` pass."""
        from perfkit_core.schema.metrics import Metrics

        return self._listed(METRICS, Metrics)

    @cached_property
    def profile(self) -> RegionsReport | None:
        """Profiled work by region; None without a profiler's pass."""
        from perfkit_core.schema.regions import RegionsReport

        return self._listed(REGIONS, RegionsReport)

    @cached_property
    def counters(self) -> CountersReport | None:
        """Hardware counters by kernel and region; None without a pass that read them."""
        from perfkit_core.schema.counters import CountersReport

        return self._listed(COUNTERS, CountersReport)

    @cached_property
    def environment(self) -> Environment | None:
        """The machine and software that made the run; None when that was not recorded."""
        from perfkit_core.schema.run import Environment

        return self._listed(ENVIRONMENT, Environment)

    def _listed(
        self, name: str, kind: type[AnyRecord], check: Callable[[AnyRecord, RunIndex], str] | None = None
    ) -> AnyRecord | None:
        if name not in self.index.files or name in self.left_out:
            return None
        return read_record(self.path / name, kind, check=lambda record: check(record, self.index) if check else "")


class RunWriter:
    """Writes the files of one run; each appears whole or not at all.

    Args:
        path: The run directory, which exists.
        index: What ``run.json`` says so far; written at once.

    Attributes:
        records: Records already in memory, by file name, which the finished ``Run`` need not read again.
    """

    def __init__(self, path: Path, index: RunIndex) -> None:
        self.path = path
        self.index = index
        self.records: dict[str, Record] = {}
        self._files = {INDEX, *index.files}
        self.update()

    def recorded(self) -> tuple[RegionsReport, PassRecord] | None:
        """Return the work by region that an earlier pass of this run recorded, and that pass; None when none has."""
        from perfkit_core.schema.regions import RegionsReport

        report, done = self.records.get(REGIONS), self.index.pass_of(REGIONS)
        return (report, done) if isinstance(report, RegionsReport) and done is not None else None

    def update(self, **changes: Any) -> None:
        """Rewrite ``run.json`` with the given fields changed and the files written so far."""
        self.index = self.index.model_copy(update={**changes, "files": tuple(sorted(self._files))})
        write_atomically(self.path / INDEX, self.index.model_dump_json(indent=2) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write ``text`` to ``name``, a path relative to the run directory, and return the full path.

        Raises:
            UsageError: The name is empty, leads out of the run, or is that of the index.
            MissingError: The file cannot be written.
        """
        name = name_inside(name, reserved=INDEX)
        target = self.path / name
        write_atomically(target, text)
        self._files.add(name)
        return target

    def write_json(self, name: str, content: Record | Mapping[str, Any], *, text: str | None = None) -> Path:
        """Write a record or plain values as JSON.

        Args:
            name: Path relative to the run directory.
            content: What to write.
            text: A record as JSON, where the caller has a better layout than one field per line.
        """
        if isinstance(content, Record):
            self.records[name] = content
            return self.write_text(name, content.model_dump_json(indent=1) + "\n" if text is None else text)
        return self.write_text(name, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def write_yaml(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write plain values as YAML: one line per entry, scalars and lists as JSON, which YAML includes."""
        return self.write_text(name, yaml_text(content))

    def add_files(self, paths: Iterable[Path]) -> None:
        """Enter files that something else wrote into the run directory; those outside are ignored."""
        root = self.path.resolve()
        for path in paths:
            resolved = path.resolve()
            if resolved.is_relative_to(root):
                self._files.add(resolved.relative_to(root).as_posix())

    def run(self) -> Run:
        """Return the run as written so far."""
        run = Run(path=self.path, index=self.index)
        for attribute, name in (
            ("report", ANALYTIC_REPORT),
            ("verification", VERIFY_LAYERS),
            ("metrics", METRICS),
            ("profile", REGIONS),
            ("counters", COUNTERS),
        ):
            if name in self.records:
                run.__dict__[attribute] = self.records[name]  # what the cached property would read back
        return run


def create_run(out: Path | None, index: RunIndex) -> RunWriter:
    """Create the run directory with an index of status ``running``.

    Args:
        out: The directory; one below ``perfkit-runs/`` named after time, model and workload by default.
            A run that is there already is renamed to ``<out>.1``, ``<out>.2``…, never deleted.

    Raises:
        UsageError: The directory holds something else, or cannot be created.
    """
    if out is None:
        return RunWriter(_create_default(index), index)
    check_out(out)
    try:
        if out.is_dir() and (out / INDEX).exists():
            _move_aside(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(out, error) from None
    return RunWriter(out, index)


def check_out(out: Path) -> None:
    """Refuse ``out`` if it is a file, lies below one, or holds anything but a run.

    Raises:
        UsageError: With the reason.
    """
    try:
        if not out.exists():
            parent = next(folder for folder in (*out.absolute().parents,) if folder.exists())
            if not parent.is_dir():
                raise UsageError(f"--out {out}: {parent} is a file", fix="choose another --out")
            if not os.access(parent, os.W_OK | os.X_OK):
                raise UsageError(f"--out {out}: {parent} is not writable", fix="choose another --out")
            return
        if not out.is_dir():
            raise UsageError(f"--out {out} is a file", fix="name a directory")
        if not os.access(out, os.W_OK | os.X_OK):
            raise UsageError(f"--out {out} is not writable", fix="choose another --out")
        if not (out / INDEX).exists() and any(out.iterdir()):
            raise UsageError(f"--out {out} holds other files and no run", fix="choose a new or empty directory")
    except OSError as error:
        raise _unusable(out, error) from None


def _unusable(out: Path, error: OSError) -> UsageError:
    return UsageError(f"--out {out!s:.200} cannot be used: {error.strerror}", fix="choose another --out")


def _create_default(index: RunIndex) -> Path:
    stamp = index.created[:19].replace("-", "").replace(":", "").replace("T", "-")
    base = Path("perfkit-runs") / f"{stamp}-{index.label}"
    path, number = base, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not base.parent.is_dir():
                raise UsageError(f"{base.parent} is a file", fix="name a directory with --out") from None
            number += 1
            path = base.with_name(f"{base.name}-{number}")
        except OSError as error:
            raise _unusable(path, error) from None
        else:
            return path


def _move_aside(out: Path) -> None:
    number = 1
    while (target := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    out.rename(target)
    _log.warning("%s held a run already: it is now %s", out, target)


def open_run(path: Path) -> RunWriter:
    """Return a writer that adds files to an existing run.

    Raises:
        MissingError: There is no run.
        DamagedFileError: Its index is damaged.
    """
    return RunWriter(path, load_run(path).index)


def load_run(path: Path) -> Run:
    """Read the index of the run in ``path``.

    Raises:
        MissingError: There is no run.
        DamagedFileError: The index is damaged or of an unknown schema.
    """
    index = path / INDEX
    try:
        if path.name == INDEX and path.is_file():  # the index itself was named
            path, index = path.parent, path
        found = index.exists()
    except OSError as error:  # a name too long, or a directory that may not be searched
        raise MissingError(f"cannot read {path!s:.200}: {error.strerror}", fix="check the path") from None
    if not found:
        raise _no_run(path)
    return Run(path=path, index=read_record(index, RunIndex))


def _is_there(path: Path) -> bool:
    """Whether a file or its compressed copy is there; what may not be looked at counts as there: reading says why."""
    for one in (path, packed_name(path)):
        try:
            one.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return True
        return True
    return False


def _no_run(path: Path) -> MissingError:
    """Return the error for a path without a run; a file inside a run is told from other mistakes."""
    above = next((folder for folder in path.absolute().parents if (folder / INDEX).is_file()), None)
    if above is not None and path.exists():
        shown = next((folder for folder in path.parents if folder.absolute() == above), above)
        return MissingError(f"{path} is part of the run {shown}, not a run", fix=f"name the run: {shown}")
    reason = f"{path} holds no {INDEX}" if path.exists() else f"there is no run at {path}"
    return MissingError(reason, fix="name the directory of a run; perfkit run --out DIR makes one")
