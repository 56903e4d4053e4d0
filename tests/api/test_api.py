"""The Python API, as a notebook uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perfkit_core import api
from perfkit_core.analytic_report import report_text
from perfkit_core.errors import CheckFailed, MissingError, UsageError
from perfkit_core.schema.analysis import Change
from perfkit_core.schema.analytic import AnalyticReport, ModuleRecord


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_estimate_writes_nothing_and_adds_up(elsewhere: Path) -> None:
    found = api.estimate("wan2_1", workload="p512")
    rows = found.rows()
    assert len({row["path"] for row in rows}) == len(rows) > 1500
    assert set(rows[0]) == set(ModuleRecord.model_fields) - {"ops"}
    for name in ("flops", "elementwise_flops", "parameters", "weight_bytes", "bytes_read", "bytes_written"):
        assert sum(row[f"own_{name}"] for row in rows) == getattr(found.total, name)
    assert found.parameters["height"] == 512
    assert list(elsewhere.iterdir()) == []


def test_identical_modules_are_separate_records() -> None:
    found = api.estimate("wan2_1", variant="tiny")
    rows = {row["path"]: row for row in found.rows()}
    first, second = rows["denoise/step/transformer/blocks.0/ffn"], rows["denoise/step/transformer/blocks.1/ffn"]
    assert {**first, "path": ""} == {**second, "path": ""}
    first["flops"] = -1
    assert second["flops"] > 0


@pytest.mark.parametrize("options", [{}, {"batch_size": 10**6, "num_frames": 10**6, "num_inference_steps": 10**6}])
def test_a_report_survives_json(options: dict[str, int]) -> None:
    report = api.estimate("wan2_1", options=options).report()
    assert AnalyticReport.model_validate_json(report_text(report)) == report
    assert AnalyticReport.model_validate_json(report.model_dump_json()) == report
    assert [AnalyticReport.model_validate(report.as_dict()).modules[i].path for i in (0, -1)] == [
        report.modules[i].path for i in (0, -1)
    ]


def test_the_written_lines_are_those_of_the_records() -> None:
    report = api.estimate("wan2_1", variant="tiny").report()
    changed = report.modules[3].model_copy(update={"own_flops": 123})
    report = report.model_copy(update={"modules": (*report.modules[:3], changed, *report.modules[4:])})
    assert AnalyticReport.model_validate_json(report_text(report)) == report


def test_categories_without_work_are_left_out() -> None:
    report = api.estimate("wan2_1", variant="tiny").report()
    assert "container" in {module.category for module in report.modules}
    assert all(category.flops or category.bytes for category in report.categories)
    assert sum(category.flops for category in report.categories) == report.totals.flops
    assert [one.flops for one in report.categories] == sorted((one.flops for one in report.categories), reverse=True)


def test_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    found = api.estimate("wan2_1", options={"batch_size": 10**6, "num_frames": 10**6})
    table = found.to_frame()
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == len(found.rows())
    assert sum(table["own_flops"].tolist()) == found.total.flops > 2**63


def test_a_data_frame_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingError, match="pandas") as caught:
        api.estimate("wan2_1", variant="tiny").to_frame()
    assert caught.value.fix == "pip install 'perfkit-core[frame]'"


def test_run_load_compare_hotspots() -> None:
    base = api.run("wan2_1", variant="tiny", out="base", exporters=["csv"])
    head = api.run("wan2_1", variant="tiny", out="head", options={"height": 512})
    assert base.index.status == "done"
    loaded = api.load_run("base")
    assert loaded.index == base.index
    assert loaded.report == base.report == api.estimate("wan2_1", variant="tiny").report()
    change = api.compare(loaded, head)
    assert change.total.delta == head.index.totals.flops - base.index.totals.flops  # type: ignore[union-attr]
    assert api.hotspots(head, top=2).layers[0].value >= api.hotspots(head, top=2).layers[1].value
    with pytest.raises(CheckFailed):
        api.fail_if_above(change, 0.05)
    api.fail_if_above(api.compare(head, base), 0.0)
    assert [path.name for path in api.write_comparison(change, base, head)] == ["base.json", "base.md"]
    assert [path.name for path in api.export(base, "csv", output="t.csv")] == ["t.csv"]


def test_nothing_is_read_from_the_surroundings(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "perfkit.toml").write_text("nonsense")
    monkeypatch.setenv("PERFKIT_VARIANT", "tiny")
    monkeypatch.setenv("PERFKIT_NONSENSE", "1")
    assert api.estimate("wan2_1").subject.request.variant == "t2v_14b"


@pytest.mark.parametrize(
    "options", [{"height": 0}, {"height": 480.5}, {"height": float("nan")}, {"height": "480x"}, {"heigth": 480}]
)
def test_bad_options(options: dict[str, object], elsewhere: Path) -> None:
    with pytest.raises(UsageError) as caught:
        api.run("wan2_1", options=options, out="R")
    assert caught.value.fix
    assert list(elsewhere.iterdir()) == []


def test_arguments_of_the_wrong_type(elsewhere: Path) -> None:
    with pytest.raises(UsageError, match="model=3"):
        api.estimate(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="out="):
        api.run("wan2_1", out=7)  # type: ignore[arg-type]
    assert list(elsewhere.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.run("wan2_1", variant="tiny", out="R")
    before = (elsewhere / "R" / "run.json").read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MissingError, match="No space left on device"):
        api.export(api.load_run("R"), "csv")
    with pytest.raises(MissingError, match="No space left on device"):
        api.write_comparison(api.compare(api.load_run("R"), api.load_run("R")), api.load_run("R"), api.load_run("R"))
    assert (elsewhere / "R" / "run.json").read_bytes() == before
    assert not [path for path in (elsewhere / "R").rglob("*") if path.name.endswith(".tmp")]


def test_an_increase_from_nothing_is_above_any_limit() -> None:
    run = api.run("wan2_1", variant="tiny", out="R")
    same = api.compare(run, run)
    nothing = same.model_copy(update={"total": Change(base=0, head=0, delta=0), "relative_change": None})
    api.fail_if_above(nothing, 0.0)
    with pytest.raises(CheckFailed, match="from 0"):
        api.fail_if_above(nothing.model_copy(update={"total": Change(base=0, head=1, delta=1)}), 1e9)
