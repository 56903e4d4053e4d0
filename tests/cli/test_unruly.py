"""Plugin code that ends the process, prints, or returns what it must not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .harness import TINY, Command


@pytest.mark.parametrize(
    ("backend", "said"),
    [("exits", "SystemExit: 0"), ("unspeakable", "Unspeakable: (its message cannot be shown)")],
)
def test_a_backend_that_exits_or_cannot_say_why_is_a_failed_pass(
    backend: str, said: str, shell: Command, plugin_path: Path
) -> None:
    made = shell("run", *TINY, "--backend", backend, "--out", "R", "--json", path=plugin_path)
    assert made.code == 4, made.err
    assert made.json()["status"] == "partial"
    assert said in made.json()["error"]


def test_exporters_that_misbehave(shell: Command, plugin_path: Path) -> None:
    names = ("quits", "boasts", "texts", "full", "returns_none")
    options = [word for name in names for word in ("--exporter", name)]
    made = shell("run", *TINY, *options, "--out", "R", "--json", path=plugin_path)
    assert made.code == 4, made.err
    expected = {
        "quits": (4, "SystemExit: 0"),
        "boasts": (4, "R/exports/boasts.txt, which it has not written"),
        "full": (3, "R/exports/full.txt/below: No such file"),
        "returns_none": (4, "NoneType"),
    }
    assert "exports/texts.txt" in made.json()["files"]
    assert "exports/boasts.txt" not in made.json()["files"]
    assert "exporter texts" not in made.err
    for name, (code, text) in expected.items():
        assert text in made.json()["error"]
        failed = shell("export", "R", "--exporter", name, path=plugin_path)
        assert (failed.code, failed.out) == (code, "")
        assert text in failed.err


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("exits_in_check", "its check failed: SystemExit: no licence"),
        ("no_list", "its check returned 'broken'"),
        ("no_backend", "its factory returned str"),
        ("unbuilt", "its factory failed: ZeroDivisionError"),
    ],
)
def test_a_backend_whose_check_is_at_fault(backend: str, said: str, shell: Command, plugin_path: Path) -> None:
    failed = shell("run", *TINY, "--backend", backend, "--out", "R", path=plugin_path)
    assert failed.code == 4, failed.err
    assert f"backend '{backend}' of perfkit-unruly: {said}" in failed.err
    assert not Path("R").exists()


def test_doctor_outlives_them(shell: Command, plugin_path: Path) -> None:
    found = shell("doctor", "--json", path=plugin_path).json()["backends"]
    problems = {one["name"]: one["problems"] for one in found}
    assert "SystemExit: no licence" in problems["exits_in_check"][0]
    assert "not a list of lines" in problems["no_list"][0]


def test_what_plugins_print_leaves_the_json_alone(shell: Command, plugin_path: Path) -> None:
    made = shell("run", *TINY, "--backend", "prints", "--out", "R", "--json", path=plugin_path)
    assert made.json()["status"] == "done"
    for text in ("by Python", "by a library", "by a child"):
        assert text in made.err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nothing", "returned None, not a CostTree"),
        ("numpy_values", "'stage/linear': operation 'linear'"),
        ("negative_values", "=-32 (int) at 'stage/linear'"),
        ("fractions", "(float) at 'stage/linear'"),
        ("slashes", "the name 'a/b' below 'stage'"),
        ("no_calls", "calls=-1 (int) at 'stage/linear'"),
        ("bad_memory", "weight_bytes=True (bool) at memory"),
        ("twice", "the name 'stage' twice below the tree"),
    ],
)
def test_a_tree_that_cannot_be_right_is_refused(model: str, said: str, shell: Command, plugin_path: Path) -> None:
    failed = shell("run", "--model", model, "--out", "R", path=plugin_path)
    assert failed.code == 4, failed.err
    assert f"the analytic model of '{model}' returned" in failed.err
    assert said in failed.err
    assert not Path("R").exists()


@pytest.mark.parametrize(("model", "said"), [("exits", "SystemExit: 0"), ("bad_dtype", "known: float64, float32")])
def test_an_estimate_that_ends_early_is_recorded(model: str, said: str, shell: Command, plugin_path: Path) -> None:
    failed = shell("run", "--model", model, "--out", "R", path=plugin_path)
    assert failed.code == 4, failed.err
    assert said in json.loads(Path("R/run.json").read_text())["error"]


def test_two_of_one_name_are_refused(shell: Command, plugin_path: Path) -> None:
    site = Path("site")
    site.mkdir()
    for name, source in (("twin_a", plugin_path), ("twin_b", plugin_path)):
        (site / f"{name}.py").write_text((source / "unruly.py").read_text())
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[perfkit]\n{name} = {name}\n")
    for kind, name in (("backend", "writes"), ("exporter", "texts")):
        options = (f"--{kind}", f"twin_a:{name}", f"--{kind}", f"twin_b:{name}")
        refused = shell("run", *TINY, *options, "--out", "R", path=site.resolve())
        assert refused.code == 2, refused.err
        assert f"{kind}s 'twin_a:{name}' and 'twin_b:{name}' have the same name" in refused.err
