"""The Python API and the command line come to the same plan."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from perfkit_core import api
from perfkit_core.cli import perfkit
from perfkit_core.cli.run import command
from perfkit_core.errors import UsageError

OTHER_NAMES = {"parameters": "options"}
COMMAND_ONLY = {"as_json", "debug", "help"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def plan_of(run: str) -> tuple[bytes, dict[str, Any]]:
    text = Path(run, "config.yaml").read_bytes()
    return text, yaml.safe_load(text)


def test_every_option_of_the_command_is_an_argument() -> None:
    options = {OTHER_NAMES.get(str(one.name), str(one.name)) for one in command.params} - COMMAND_ONLY
    arguments = inspect.signature(api.run).parameters
    assert options <= set(arguments)
    for name in set(arguments) - {"model"}:
        assert arguments[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"        {name}: " in (inspect.getdoc(api.run) or "").replace("    ", "        ")


def test_both_write_the_same_config(elsewhere: Path) -> None:
    arguments = (
        "run --model wan2_1 --variant tiny --workload ci_tiny --backend analytic --set height=64 --set guidance=true "
        "--device cpu --repeats 7 --warmup 2 --measure-steps all --region-depth 4 --max-minutes 2.5 --seed 11 "
        "--exporter csv --out C"
    )
    shown = CliRunner().invoke(perfkit, arguments.split(), prog_name="perfkit")
    assert shown.exit_code == 0, shown.stderr
    made = api.run(
        "wan2_1", variant="tiny", workload="ci_tiny", backends=["analytic"], options={"height": 64, "guidance": True},
        device="cpu", repeats=7, warmup=2, measure_steps="all", region_depth=4, max_minutes=2.5, seed=11,
        exporters=["csv"], out="A",
    )  # fmt: skip
    assert made.index.status == "done"
    (one, values), (two, _) = plan_of("C"), plan_of("A")
    assert one == two
    expected = {"repeats": 7, "warmup": 2, "measure_steps": "all", "region_depth": 4, "max_minutes": 2.5, "seed": 11}
    assert {name: values[name] for name in expected} == expected


def test_defaults_are_the_same(elsewhere: Path) -> None:
    assert CliRunner().invoke(perfkit, ["run", "--model", "wan2_1", "--out", "C"], prog_name="perfkit").exit_code == 0
    api.run("wan2_1", out="A")
    assert plan_of("C") == plan_of("A")


def test_a_config_repeats_a_run_and_arguments_go_before_it(elsewhere: Path) -> None:
    api.run("wan2_1", variant="tiny", repeats=5, measure_steps=2, options={"height": 64}, out="A")
    api.run(config="A/config.yaml", out="B")
    assert plan_of("A") == plan_of("B")
    changed = api.run(config=Path("A/config.yaml"), repeats=6, out="D").index
    assert plan_of("D")[1] == {**plan_of("A")[1], "repeats": 6}
    assert changed.settings_origins["measure_steps"] == "--config A/config.yaml"


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"device": "tpu"}, {"measure_steps": "some"}, {"max_minutes": -1}])
def test_values_that_do_not_fit(wrong: dict[str, Any], elsewhere: Path) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", ".")):
        api.run("wan2_1", out="R", **wrong)
    assert list(elsewhere.iterdir()) == []
