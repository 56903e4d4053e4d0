"""The distributions as users get them: wheels in a fresh environment, without torch."""

from __future__ import annotations

import venv
import zipfile
from pathlib import Path

import pytest

from .distributions import PERFKIT, build_wheels, pip, run_command

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
EXAMPLE = ROOT / "examples" / "perfkit_example_plugin"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheels")
    build_wheels([ROOT, *PLUGINS, EXAMPLE], directory)
    return {wheel.name.split("-")[0]: wheel for wheel in directory.glob("*.whl")}


@pytest.fixture(scope="module")
def core_alone(wheels, tmp_path_factory):
    """A fresh environment with perfkit-core, what it requires, and nothing else."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, symlinks=True)
    pip("install", "-c", ROOT / "constraints.txt", wheels["perfkit_core"], python=home / "bin" / "python")
    return home / "bin"


@pytest.fixture(scope="module")
def everything(core_alone, wheels):
    """The same environment after all plugins and the example have joined it."""
    plugins = [wheel for name, wheel in wheels.items() if name != "perfkit_core"]
    pip("install", "-c", ROOT / "constraints.txt", *plugins, python=core_alone / "python")
    return core_alone


def files_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheels_hold_every_file_of_their_package_and_the_licence(wheels):
    packages = {ROOT / "src" / "perfkit_core", *(next((path / "src").iterdir()) for path in [*PLUGINS, EXAMPLE])}
    assert {package.name for package in packages} == set(wheels)
    for package in packages:
        held = files_of(wheels[package.name])
        sources = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        assert {path.relative_to(package.parent).as_posix() for path in sources} <= held
        assert f"{package.name}/py.typed" in held
        assert any(name.endswith("licenses/LICENSE") for name in held)


def test_architectures_and_templates_travel_with_their_packages(wheels):
    variants = {f"perfkit_wan2_1/variants/{name}/transformer/config.json" for name in ("t2v_14b", "t2v_1_3b", "tiny")}
    assert variants <= files_of(wheels["perfkit_wan2_1"])
    assert any(name.startswith("perfkit_core/templates/") for name in files_of(wheels["perfkit_core"]))


def test_core_alone_runs_without_torch_and_without_plugins(core_alone, tmp_path):
    # Later tests of this module add plugins to the environment, so this one comes first.
    assert run_command([core_alone / "python", "-c", "import torch"], tmp_path).code == 1
    assert run_command([core_alone / "perfkit", "--help"], tmp_path).code == 0
    plugins = run_command([core_alone / "perfkit", "plugins", "--json"], tmp_path).json
    assert [(one["name"], one["distribution"], one["status"]) for one in plugins] == [
        ("builtin", "perfkit-core", "active")
    ]
    assert run_command([core_alone / "perfkit", "list", "models", "--json"], tmp_path).json == []
    unknown = run_command([core_alone / "perfkit", "run", "--model", "wan2_1"], tmp_path)
    assert unknown.code == 2
    assert "none is installed" in unknown.stderr


def test_the_example_is_found_and_runs_by_name(everything, tmp_path):
    listed = run_command([everything / "perfkit", "list", "models", "--json"], tmp_path).json
    assert {(one["name"], one["distribution"]) for one in listed} == {
        ("example_mlp", "perfkit-example-plugin"),
        ("wan2_1", "perfkit-wan2-1"),
        ("deepseek_ocr", "perfkit-deepseek-ocr"),
        ("three_ranges", "perfkit-nsight"),
    }
    command = ["run", "--model", "example_mlp", "--set", "batch_size=3", "--exporter", "example_tsv", "--out", "R"]
    outcome = run_command([everything / "perfkit", *command, "--json"], tmp_path)
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["totals"]["flops"] == 3 * 2 * 2 * 256 * 1024
    assert outcome.json["totals"]["parameters"] == 2 * 256 * 1024 + 1024 + 256
    tables = [name for name in outcome.json["files"] if name.endswith(".tsv")]
    assert len(tables) == 1
    rows = [line.split("\t") for line in (tmp_path / "R" / tables[0]).read_text().splitlines()]
    assert rows[0][:4] == ["path", "category", "calls", "flops"]
    assert {row[0]: row[3] for row in rows[1:]}["forward/mlp/fc1"] == str(3 * 2 * 256 * 1024)


def test_the_exporter_takes_its_own_parameters(everything, tmp_path):
    command = ["run", "--model", "example_mlp", "--exporter", "example_tsv", "--set", "example_tsv.own=true"]
    outcome = run_command([everything / "perfkit", *command, "--out", "R", "--json"], tmp_path)
    assert outcome.code == 0, outcome.stderr
    table = next(name for name in outcome.json["files"] if name.endswith(".tsv"))
    assert "forward\tcontainer\t1\t0\t0\t0" in (tmp_path / "R" / table).read_text().splitlines()


def test_the_main_job_runs_from_wheels_without_torch(everything, tmp_path):
    outcome = run_command([everything / "perfkit", "run", "--model", "wan2_1", "--json"], tmp_path)
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["variant"] == "t2v_14b"
    assert (tmp_path / outcome.json["run_dir"] / "report.md").is_file()


@pytest.mark.parametrize("model", ["wan2_1", "example_mlp"])
def test_verify_without_torch_says_what_to_install(everything, tmp_path, model):
    outcome = run_command([everything / "perfkit", "verify", "--model", model], tmp_path)
    assert outcome.code == 3
    assert "torch" in outcome.stderr
    assert "pip install" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(("variant", "workload"), [("small", "single"), ("wide", "batch")])
def test_the_example_agrees_with_its_real_module(wheels, tmp_path, variant, workload):
    site = tmp_path / "site"
    pip("install", "--no-deps", "--no-index", "--target", site, wheels["perfkit_example_plugin"])
    arguments = [
        "verify",
        "--model",
        "example_mlp",
        "--variant",
        variant,
        "--workload",
        workload,
        "--out",
        "R",
        "--json",
    ]
    outcome = run_command([*PERFKIT, *arguments], tmp_path, PYTHONPATH=str(site))
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["passed"] is True
    assert outcome.json["max_relative_difference"] == 0
    assert outcome.json["unmatched"] == []
    counted = {layer["path"]: layer["counted"] for layer in outcome.json["layers"]}
    rows, width, hidden = {"single": (1, 256, 1024), "batch": (4096, 4096, 16384)}[workload]
    assert counted["forward/mlp/fc1"] == counted["forward/mlp/fc2"] == 2 * rows * width * hidden
    assert counted["forward/mlp"] == 4 * rows * width * hidden
