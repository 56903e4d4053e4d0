"""Small real distributions, sound and broken: written as projects, installed by pip into directories of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PERFKIT = (sys.executable, "-c", "from perfkit_core.cli import main; main()")
"""The command, in the environment that the tests run in."""

REQUIRES_THIS_CORE = "perfkit-core>=0.1,<0.2"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A distribution to install: entry points of group ``perfkit`` with the source of the module behind each."""

    name: str
    plugins: Mapping[str, str]
    version: str = "1.0"
    requires: tuple[str, ...] = (REQUIRES_THIS_CORE,)

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    def write(self, directory: Path) -> Path:
        package = directory / self.package
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        for plugin, source in self.plugins.items():
            (package / f"{plugin}.py").write_text(textwrap.dedent(source))
        points = "\n".join(f'{plugin} = "{self.package}.{plugin}"' for plugin in self.plugins)
        (directory / "pyproject.toml").write_text(
            f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{self.name}"
version = "{self.version}"
dependencies = {list(self.requires)!r}

[project.entry-points.perfkit]
{points}

[tool.hatch.build.targets.wheel]
packages = ["{self.package}"]
"""
        )
        return directory


def build_wheels(projects: list[Path], into: Path) -> None:
    """Build wheels of projects with the build backend that is installed here."""
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", into, *projects)


def pip(*arguments: object, python: str | Path = sys.executable) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def model_plugin(model: str, width: int = 8, extra: str = "") -> str:
    """Source of a plugin with one working model, of ``2 * width * width`` FLOPs, and the workload ``only``."""
    source = f"""
        from perfkit_core import hookimpl
        from perfkit_core.costtree import CostTree, MemoryEstimate, Node
        from perfkit_core.ops import linear
        from perfkit_core.options import Options
        from perfkit_core.specs import AnalyticSpec, ModelSpec, VariantSpec, WorkloadSpec

        def _estimate(request, workload):
            layer = Node("linear", "linear", 1, ops=[linear(1, {width}, {width}, "float32")])
            stage = Node("stage", "container", 1, children=[("layer", layer)])
            memory = MemoryEstimate(0, 0, {{"forward": 0}}, 0)
            return CostTree(stages=[("forward", stage)], memory=memory, geometry={{}})

        @hookimpl
        def perfkit_models():
            return [
                ModelSpec(
                    name="{model}",
                    summary="a layer of {width}",
                    variants=[VariantSpec(name="base", summary="")],
                    default_workload="only",
                    options=Options,
                    load=lambda request: {{}},
                )
            ]

        @hookimpl
        def perfkit_workloads():
            return [WorkloadSpec(name="only", model="{model}", summary="one row", options=Options)]

        @hookimpl
        def perfkit_analytic_models():
            return [AnalyticSpec(model="{model}", estimate=_estimate)]
        """
    return textwrap.dedent(source) + textwrap.dedent(extra)


def hooks(body: str) -> str:
    """Source of a plugin module with the usual imports."""
    imports = """
    from pathlib import Path
    from perfkit_core import hookimpl
    from perfkit_core.options import Options
    from perfkit_core.specs import BackendSpec, ExporterSpec, ImporterSpec, ModelSpec, VariantSpec, WorkloadSpec

    def exporter(**changes):
        fields = dict(name="sound", summary="", suffix=".txt", export=lambda run, path, options: [path])
        return ExporterSpec(**(fields | changes))

    def workload(**changes):
        return WorkloadSpec(**(dict(name="sound", model="sound", summary="", options=Options) | changes))

    def model(**changes):
        fields = dict(name="sound", summary="", variants=[VariantSpec(name="base", summary="")], options=Options)
        return ModelSpec(**(fields | dict(default_workload="sound", load=lambda request: {}) | changes))
    """
    return textwrap.dedent(imports) + textwrap.dedent(body)


@dataclass(frozen=True)
class Outcome:
    """What one ``perfkit`` command did."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run_command(command: Sequence[str], cwd: Path, **environment: str) -> Outcome:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERFKIT_", "PYTHON"))}
    home = {"HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd / "no-config")}
    done = subprocess.run(
        command, cwd=cwd, env={**kept, **home, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
