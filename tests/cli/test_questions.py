"""Commands that read runs, and those that list what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit_core import api
from perfkit_core.errors import CheckFailed
from perfkit_core.schema.analysis import Comparison, Hotspots

from .harness import TINY, Command


@pytest.fixture(autouse=True)
def runs(cli: Command, workplace: Path) -> None:
    assert cli("run", *TINY, "--out", "base").code == 0
    assert cli("run", *TINY, "--set", "height=512", "--out", "head").code == 0


def test_hotspots(cli: Command) -> None:
    answer = Hotspots.model_validate(cli("hotspots", "base", "--top", "3", "--json").json())
    modules = json.loads(Path("base/analytic/report.json").read_text())["modules"]
    own = {module["path"]: module["own_flops"] for module in modules}
    assert answer.total == sum(own.values())
    assert [layer.path for layer in answer.layers] == sorted(own, key=lambda path: (-own[path], path))[:3]
    shown = cli("hotspots", "base", "--top", "3").out
    assert all(layer.path in shown for layer in answer.layers)
    assert "%" in shown


def test_compare_prints_and_writes(cli: Command) -> None:
    printed = cli("compare", "base", "head", "--json")
    assert printed.code == 0
    answer = Comparison.model_validate(printed.json())
    assert answer.total.delta > 0
    assert answer.workload_changes["height"].head == 512
    assert Comparison.model_validate_json(Path("head/compare/base.json").read_bytes()) == answer
    assert "height" in Path("head/compare/base.md").read_text()
    assert {"compare/base.json", "compare/base.md"} <= set(json.loads(Path("head/run.json").read_text())["files"])
    assert not Path("base/compare").exists()
    shown = cli("compare", "base", "head")
    assert answer.verdict in shown.out
    assert "written: head/compare/base.md" in shown.out


def test_compare_into_another_directory(cli: Command) -> None:
    assert cli("compare", "base", "head", "--out", "elsewhere").code == 0
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["base.json", "base.md"]
    assert not Path("head/compare").exists()


def test_compare_of_a_relative_name_takes_the_real_one(
    cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace / "base")
    assert cli("compare", ".", "../head").code == 0
    assert (workplace / "head/compare/base.json").exists()


@pytest.mark.parametrize(
    ("base", "head", "limit", "code"),
    [
        ("base", "head", "5%", 1),
        ("base", "head", "0.05", 1),
        ("base", "head", "0", 1),
        ("base", "head", "1000%", 0),
        ("head", "base", "0%", 0),
        ("base", "base", "0", 0),
    ],
)
def test_fail_above_counts_increases_only(base: str, head: str, limit: str, code: int, cli: Command) -> None:
    done = cli("compare", base, head, "--fail-above", limit, "--json")
    assert done.code == code
    Comparison.model_validate(done.json())
    assert ("--fail-above" in done.err) == (code == 1)


def test_fail_above_is_inclusive_at_the_limit(cli: Command) -> None:
    comparison = api.compare(api.load_run("base"), api.load_run("head"))
    change = comparison.relative_change
    assert change is not None
    api.fail_if_above(comparison, change)
    with pytest.raises(CheckFailed, match="more than the"):
        api.fail_if_above(comparison, change * 0.999)
    assert cli("compare", "base", "head", "--fail-above", f"{change * 100 * 1.001!r}%").code == 0
    assert cli("compare", "base", "head", "--fail-above", f"{change * 100 * 0.999!r}%").code == 1


def test_report(cli: Command) -> None:
    assert cli("report", "base").out == Path("base/report.md").read_text()
    written = cli("report", "base", "--format", "html", "-o", "page.html")
    assert written.out == "page.html\n"
    assert Path("page.html").read_text().lstrip().lower().startswith("<!doctype html")
    Path("mine.md").write_text("FLOPs {{ report.analytic.totals.flops }}\n")
    flops = json.loads(Path("base/run.json").read_text())["totals"]["flops"]
    assert cli("report", "base", "--template", "./mine.md").out == f"FLOPs {flops}\n"
    Path("dir").mkdir()
    Path("dir/report.md").write_text("restyled")
    assert cli("report", "base", "--template-dir", "dir").out == "restyled\n"


def test_export(cli: Command) -> None:
    assert cli("export", "base", "--exporter", "csv").out == "base/exports/csv.csv\n"
    assert "exports/csv.csv" in json.loads(Path("base/run.json").read_text())["files"]
    assert cli("export", "base", "--exporter", "csv", "-o", "t.csv").out == "t.csv\n"
    assert Path("t.csv").read_text() == Path("base/exports/csv.csv").read_text()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("models", "wan2_1"),
        ("workloads", "native_720p"),
        ("backends", "analytic"),
        ("exporters", "csv"),
        ("templates", "report.md"),
    ],
)
def test_list(kind: str, name: str, cli: Command) -> None:
    entries = cli("list", kind, "--json").json()
    assert all({"name", "distribution", "version", "summary"} <= set(entry) for entry in entries)
    assert name in [entry["name"] for entry in entries]
    assert name in cli("list", kind).out


def test_plugins(cli: Command) -> None:
    entries = {entry["name"]: entry for entry in cli("plugins", "--json").json()}
    assert entries["wan2_1"]["status"] == "active"
    assert "model:wan2_1" in entries["wan2_1"]["provides"]
    assert set(entries["wan2_1"]) == {"name", "distribution", "version", "status", "provides", "error"}
    assert "wan2_1" in cli("plugins").out


def test_a_broken_plugin_shows_in_plugins_and_doctor(shell: Command, tmp_path: Path) -> None:
    info = tmp_path / "site" / "perfkit_torn-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: perfkit-torn\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[perfkit]\ntorn = torn_module\n")
    (tmp_path / "site" / "torn_module.py").write_text("raise OSError('page missing')\n")
    site = tmp_path / "site"
    assert "OSError: page missing" in shell("plugins", path=site).out
    assert "Traceback" not in shell("plugins", path=site).out
    assert "torn_module.py" in shell("plugins", "--verbose", path=site).out
    ill = shell("doctor", path=site)
    assert ill.code == 3
    assert "perfkit-torn" in ill.err
    assert shell("run", *TINY, "--out", "R", path=site).code == 0


def test_doctor(cli: Command) -> None:
    answer = cli("doctor", "--json").json()
    assert {"python", "settings", "plugins", "backends", "stack", "problems"} <= set(answer)
    assert answer["problems"] == []
    assert {"name": "analytic", "problems": []} in answer["backends"]
    shown = cli("doctor").out
    for text in ("python", "tolerance", "wan2_1", "analytic", "torch"):
        assert text in shown


def test_doctor_says_how_to_add_what_is_absent(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfkit_core.environment.STACK", ("torch-that-is-not-there",))
    assert "pip install torch-that-is-not-there" in cli("doctor").out


def test_doctor_reports_the_checks_of_backends(shell: Command, plugin_path: Path) -> None:
    answer = shell("doctor", "--json", path=plugin_path).json()
    assert {"name": "absent", "problems": ["the widget driver is not loaded"]} in answer["backends"]


def test_comparisons_with_runs_of_one_name_are_both_kept(cli: Command) -> None:
    Path("old").mkdir()
    assert cli("run", *TINY, "--set", "height=384", "--out", "old/base").code == 0
    first = cli("compare", "base", "head").out
    second = cli("compare", "old/base", "head").out
    assert "head/compare/base.json" in first
    assert "head/compare/base-2.json" in second
    assert Comparison.model_validate_json(Path("head/compare/base.json").read_bytes()).base == "base"
    assert Comparison.model_validate_json(Path("head/compare/base-2.json").read_bytes()).base == "old/base"
    assert "head/compare/base.json" in cli("compare", "base", "head").out
    assert "head/compare/base-2.json" in cli("compare", "old/base", "head").out
    assert not Path("head/compare/base-3.json").exists()
    for base, name in (("base", "base"), ("old/base", "base-2")):
        assert f"C/{name}.md" in cli("compare", base, "head", "--out", "C").out
    Path("C/base.json").write_text("{")
    assert "C/base.json" in cli("compare", "old/base", "head", "--out", "C").out
