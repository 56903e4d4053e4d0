"""The import contracts in pyproject.toml stay complete as core grows."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "backend",
    "captures",
    "checkpoints",
    "costtree",
    "counters",
    "errors",
    "hookspecs",
    "importer",
    "kernel_names",
    "ops",
    "options",
    "privacy",
    "reference",
    "regions",
    "schema",
    "specs",
    "units",
    "workload",
}
"""What a plugin may import from perfkit_core; docs/write-a-plugin.md relies on it."""


def test_every_core_module_is_public_to_plugins_or_forbidden_to_them():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["name"].startswith("Plugins import the public contract"))
    forbidden = {name.removeprefix("perfkit_core.") for name in contract["forbidden_modules"]}
    core = {path.stem for path in (ROOT / "src" / "perfkit_core").iterdir() if path.suffix == ".py" or path.is_dir()}
    modules = {name for name in core if not name.startswith("__")} - {"templates"}
    assert forbidden | PUBLIC == modules
    assert not forbidden & PUBLIC


def test_every_distribution_is_under_the_contracts():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    projects = [
        ROOT,
        *(path.parent for pattern in ("plugins/*", "examples/*") for path in ROOT.glob(f"{pattern}/pyproject.toml")),
    ]
    packages = {path.name for project in projects for path in (project / "src").iterdir() if path.is_dir()}
    assert set(linter["root_packages"]) == packages
    for contract in linter["contracts"]:
        if contract["name"].startswith("Plugins"):
            assert set(contract.get("modules", contract.get("source_modules"))) == packages - {"perfkit_core"}
