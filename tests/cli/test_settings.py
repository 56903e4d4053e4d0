"""Layers of settings, and where each value came from."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path

import pytest

from perfkit_core.settings import Settings

from .harness import TINY, Command


def origin(cli: Command, name: str) -> tuple[object, str]:
    shown = cli("doctor", "--json")
    assert shown.code == 0, shown.err
    entry = shown.json()["settings"][name]
    return entry["value"], entry["origin"]


def test_each_layer_wins_over_the_one_below(cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin(cli, "top") == (10, "default")
    user = Path(os.environ["XDG_CONFIG_HOME"], "perfkit", "config.toml")
    user.parent.mkdir(parents=True)
    user.write_text("top = 1\nby = 'bytes'\n")
    assert origin(cli, "top") == (1, str(user))
    project = workplace / "perfkit.toml"
    project.write_text("top = 2\n")
    assert origin(cli, "top") == (2, str(project))
    assert origin(cli, "by") == ("bytes", str(user))
    monkeypatch.setenv("PERFKIT_TOP", "3")
    assert origin(cli, "top") == (3, "PERFKIT_TOP")
    assert cli("run", *TINY, "--out", "R").code == 0
    assert len(cli("hotspots", "R", "--json").json()["layers"]) == 3
    shown = cli("hotspots", "R", "--top", "4", "--json").json()
    assert (len(shown["layers"]), shown["by"]) == (4, "bytes")


def test_the_user_file_lies_below_home_without_xdg(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    user = Path(os.environ["HOME"], ".config", "perfkit", "config.toml")
    user.parent.mkdir(parents=True)
    user.write_text("top = 6\n")
    assert origin(cli, "top") == (6, str(user))


def test_the_project_file_is_searched_upward(cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "perfkit.toml").write_text("top = 5\ncheckpoint = 'weights'\n")
    (workplace / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(workplace / "a" / "b")
    assert origin(cli, "top") == (5, str(workplace / "perfkit.toml"))
    # Paths in a file are relative to it.
    assert origin(cli, "checkpoint")[0] == str(workplace / "weights")


def test_parameters_merge_name_by_name(cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "perfkit.toml").write_text("model = 'wan2_1'\nvariant = 'tiny'\n[set]\nheight = 512\nwidth = 512\n")
    monkeypatch.setenv("PERFKIT_SET", "width=320, text_len=32")
    assert cli("run", "--set", "text_len=16", "--out", "R").code == 0
    index = json.loads(Path("R/run.json").read_text())
    parameters = json.loads(Path("R/analytic/report.json").read_text())["parameters"]
    origins = index["settings_origins"]
    assert [parameters[name] for name in ("height", "width", "text_len", "num_frames")] == [512, 320, 16, 4]
    assert origins["set.height"] == str(workplace / "perfkit.toml")
    assert origins["set.width"] == "PERFKIT_SET"
    assert origins["set.text_len"] == "command line"
    assert origins["set.num_frames"] == "workload ci_tiny"
    assert origins["set.batch_size"] == "default"
    assert origins["model"] == str(workplace / "perfkit.toml")
    assert "| width | 320 | PERFKIT_SET |" in Path("R/assumptions.md").read_text()


def test_tables_below_set_name_a_backend(shell: Command, workplace: Path, plugin_path: Path) -> None:
    (workplace / "perfkit.toml").write_text("backends = ['writes']\n[set.writes]\nlevel = 9\n")
    assert shell("run", *TINY, "--out", "R", path=plugin_path).code == 0
    assert json.loads(Path("R/level.json").read_text()) == {"level": 9}


def test_every_setting_can_come_from_the_environment(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"backends": "analytic", "exporters": "csv", "by": "bytes", "tolerance": "1%", "fail_above": "5%"}
    for name, value in values.items():
        monkeypatch.setenv(f"PERFKIT_{name.upper()}", value)
    monkeypatch.setenv("PERFKIT_MODEL", "")
    assert origin(cli, "tolerance") == (0.01, "PERFKIT_TOLERANCE")
    assert origin(cli, "fail_above") == (0.05, "PERFKIT_FAIL_ABOVE")
    assert origin(cli, "exporters") == (["csv"], "PERFKIT_EXPORTERS")
    assert origin(cli, "model") == (None, "default")


@pytest.mark.parametrize("name", ["PERFKIT_DISABLE", "PERFKIT_DEBUG", "PERFKIT_NSYS", "PERFKIT_NCU"])
def test_reserved_variables_are_no_settings(name: str, cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0")
    assert cli("doctor", "--json").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpo = 3\n", "unknown setting 'tpo' in {file}; fix: did you mean 'top'"),
        ("# a comment\ntop = \n", "{file} is not valid TOML: Invalid value (at line 2, column 7)"),
        ("top = 3\ntop = 4\n", "(at line 2"),
        ("top = 'many'\n", "top=many is not accepted ({file})"),
        ("tolerance = nan\n", "tolerance=nan is not accepted ({file})"),
        ("top = true\ntolerance = -1\n", "is not accepted ({file})"),
        ('checkpoint = "a\\u0000b"\n', "must be UTF-8 text"),
        ("set = 4\n", "{file}: set is not a table"),
        ("[set]\nheight = [1]\n", "set.height="),
        ("workload = ''\n", "workload="),
        ("[run]\nmodel = 'x'\n", "unknown setting 'run' in {file}"),
    ],
)
def test_faults_of_a_file(text: str, message: str, cli: Command, workplace: Path) -> None:
    file = workplace / "perfkit.toml"
    file.write_text(text)
    failed = cli("run", *TINY, "--out", "R")
    assert failed.code == 2, failed.err
    assert message.format(file=file) in failed.err
    assert len(failed.err.splitlines()) == 1
    assert not Path("R").exists()


def test_a_file_that_is_no_text(cli: Command, workplace: Path) -> None:
    (workplace / "perfkit.toml").write_bytes(b"top = 1\n# \xff\n")
    failed = cli("doctor")
    assert failed.code == 2
    assert "perfkit.toml is not UTF-8 text (at line 2)" in failed.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1\n", "is not valid YAML"),
        ("- model\n", "holds no settings"),
        ("", "holds no settings"),
        ("modle: wan2_1\n", "did you mean 'model'"),
        ("model: !!python/object:os.system {}\n", "is not valid YAML"),
        ("model: \x00\n", "is not valid YAML"),
    ],
)
def test_faults_of_a_config(text: str, message: str, cli: Command) -> None:
    Path("c.yaml").write_text(text)
    failed = cli("run", "--config", "c.yaml", "--out", "R")
    assert failed.code == 2
    assert "c.yaml" in failed.err
    assert message in failed.err
    assert len(failed.err.splitlines()) == 1
    assert not Path("R").exists()


def test_unknown_variables_name_the_nearest(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_WORKLAOD", "p512")
    failed = cli("run", *TINY, "--out", "R")
    assert failed.code == 2
    assert "unknown environment variable PERFKIT_WORKLAOD" in failed.err
    assert "'PERFKIT_WORKLOAD'" in failed.err
    assert not Path("R").exists()


def test_a_variable_with_a_bad_value_is_named(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_SET", "height")
    failed = cli("run", *TINY, "--out", "R")
    assert (failed.code, "PERFKIT_SET" in failed.err) == (2, True)


def test_doctor_shows_every_setting(cli: Command) -> None:
    assert set(cli("doctor", "--json").json()["settings"]) == set(Settings.model_fields) - {"set"}


def test_assumptions_show_paths_as_they_are(cli: Command, workplace: Path) -> None:
    from markdown_it import MarkdownIt

    odd = "a|b*c*_d_[e](f)<g>`h`&amp;"
    Path(odd).mkdir()
    text = "set:\n  width: 320\n"
    Path(odd, "c.yaml").write_text(text)
    assert cli("run", *TINY, "--config", f"{odd}/c.yaml", "--out", "R").code == 0
    page = MarkdownIt("commonmark").enable("table").render(Path("R/assumptions.md").read_text())
    assert f"<td>--config {html.escape(odd, quote=False)}/c.yaml</td>" in page
    assert "<em>" not in page
