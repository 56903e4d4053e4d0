"""Runs that were passed on without some of their files: what is there is shown, and a line says what is not."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit_core.api import load_run
from perfkit_core.compare import compare_runs
from perfkit_core.errors import DamagedFileError
from perfkit_core.hotspots import hotspots
from perfkit_core.report import render

RESULTS = Path(__file__).parents[2] / "docs/results"
PUBLISHED = sorted(
    index.parent
    for folder in ("2026-11-21-h200-wan2_1", "2026-11-21-h200-deepseek_ocr")
    for index in (RESULTS / folder).glob("*/run.json")
)


@pytest.fixture
def published(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a published run, which lacks its analytic report and the profiler's regions."""

    def copy(name: str) -> Path:
        source = next(path for path in PUBLISHED if path.name == name)
        return Path(shutil.copytree(source, tmp_path / name))

    return copy


def test_there_are_published_runs() -> None:
    assert len(PUBLISHED) == 7


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
@pytest.mark.parametrize("template", ["report.md", "stakeholder_summary.md"])
def test_a_published_run_is_shown_with_what_it_has(path: Path, template: str) -> None:
    text = render(load_run(path), template=template)
    lines = [line for line in text.splitlines() if "not there" in line]
    assert len(lines) == 1
    assert "analytic/report.json" in lines[0]
    assert "| `wall_clock`" in text or "passes/01-wall_clock" in text
    assert "NVIDIA H200" in text
    assert "](analytic/summary.md)" not in text
    assert "perfkit import" not in text


def test_the_measured_times_are_those_of_the_report_that_was_published(published: Callable[[str], Path]) -> None:
    run = published("ocr_eager")
    row = "| `decode` | run | 5.549 s | 166.8 ms | 5.511 s | 5.709 s | 5.134 s to 5.963 s | 99.1 % |"
    assert f"{row} 28.81 s |" in (run / "report.md").read_text()
    text = render(load_run(run))
    assert f"{row} - |" in text  # the first run was scaled from its slow first iterations then
    assert "# perfkit capture: deepseek_ocr default standard" in text
    assert "decode takes 99.1 % of the run" in render(load_run(run), template="stakeholder_summary.md")
    assert "There is nothing to compare" in render(load_run(run), template="counted.md")


RECORDS = ("analytic/report.json", "regions.json", "ncu/regions/report.json")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A run whose records were compressed when it was passed on."""
    source = RESULTS / "2026-11-21-h200-ncu/three_ranges_kernel"
    run = Path(shutil.copytree(source, tmp_path / "packed"))
    for name in RECORDS:
        (run / f"{name}.xz").write_bytes(lzma.compress((run / name).read_bytes()))
        (run / name).unlink()
    return run


@pytest.mark.parametrize("template", ["report.md", "stakeholder_summary.md", "counted.md"])
def test_compressed_records_are_read(packed: Path, template: str) -> None:
    whole = RESULTS / "2026-11-21-h200-ncu/three_ranges_kernel"
    assert load_run(packed).left_out == ()
    assert render(load_run(packed), template=template) == render(load_run(whole), template=template)
    assert hotspots(load_run(packed), by="time").layers == hotspots(load_run(whole), by="time").layers


@pytest.mark.parametrize("damage", [lambda data: data[:200], lambda data: b"no archive", lambda data: b""])
def test_a_damaged_compressed_record_is_refused(packed: Path, damage: Callable[[bytes], bytes]) -> None:
    file = packed / "regions.json.xz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"regions\.json\.xz is damaged: it (cannot be unpacked|is cut off)"):
        render(load_run(packed), template="report.md")


def test_times_are_ranked_and_compared_without_the_analytic_report(published: Callable[[str], Path]) -> None:
    base, head = load_run(published("ocr_eager")), load_run(published("ocr_compiled"))
    assert hotspots(base, by="time").layers[0].path == "decode/language_model/layers.2"
    found = compare_runs(base, head, by="time")
    assert "The runs do not agree within ±10.0 %: 5.597 s and 807.9 ms" in found.verdict
    assert "with the same workload" not in found.verdict  # the parameters are in no file that is there
    assert [note.split(": ")[0] for note in found.notes] == [str(base.path), str(head.path)]


@pytest.mark.parametrize("by", ["flops", "bytes"])
def test_what_only_the_missing_file_tells_is_an_error(published: Callable[[str], Path], by: str) -> None:
    run = load_run(published("ocr_eager"))
    for ask in (lambda: hotspots(run, by=by), lambda: compare_runs(run, run, by=by)):  # type: ignore[arg-type]
        with pytest.raises(DamagedFileError, match=r"analytic/report\.json is missing although the run lists it"):
            ask()
    with pytest.raises(DamagedFileError, match="is missing although the run lists it"):
        render(run, template="summary.md")


@pytest.mark.parametrize("name", ["metrics.json", "env.json"])
def test_a_damaged_file_stays_an_error(published: Callable[[str], Path], name: str) -> None:
    run = published("ocr_eager")
    (run / name).write_bytes((run / name).read_bytes()[:100])
    with pytest.raises(DamagedFileError, match=f"{name} is damaged"):
        render(load_run(run), template="stakeholder_summary.md")


def test_a_run_without_any_figures_is_an_error(published: Callable[[str], Path]) -> None:
    run = published("ocr_eager")
    (run / "metrics.json").unlink()
    with pytest.raises(DamagedFileError, match=r"report\.json is missing although the run lists it"):
        render(load_run(run))
    with pytest.raises(DamagedFileError, match=r"metrics\.json is missing although the run lists it"):
        hotspots(load_run(run), by="time")


def test_an_environment_that_was_left_out(published: Callable[[str], Path]) -> None:
    run = published("ocr_eager")
    (run / "env.json").unlink()
    text = render(load_run(run), template="stakeholder_summary.md")
    assert "analytic/report.json, env.json, regions.json are listed in run.json but not there" in text
