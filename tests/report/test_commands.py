"""Templates at the command line: exit codes, one-line errors, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def command(place):
    def run(*arguments, **environment):
        line = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *map(str, arguments)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PERFKIT_")}
        cwd = place / "project"
        return subprocess.run(
            line, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def test_a_broken_template_ends_with_code_2_and_one_line(tiny, place, command):
    file = place / "broken.md"
    file.write_text("fine\n{{ report.nothing }}\n")
    done = command("report", tiny.path, "--template", file, "-o", "out.md")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    error, fix = done.stderr.strip().split("; fix: ")
    assert error == f"error: template {file}, line 2: ReportContext has no attribute 'nothing'"
    assert "docs/templates.md" in fix
    assert not (place / "project" / "out.md").exists()


def test_a_malformed_project_template_stops_a_run_before_it_begins(place, command):
    folder = place / "project" / ".perfkit" / "templates"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text("{% block a %}")
    done = command("run", "--model", "wan2_1", "--variant", "tiny", "--out", "R")
    assert done.returncode == 2
    assert f"{folder / 'report.md'}, line 1" in done.stderr
    assert not (place / "project" / "R").exists()


def test_runs_and_reports_use_the_projects_templates(place, command):
    folder = place / "project" / ".perfkit" / "templates"
    folder.mkdir(parents=True)
    (folder / "mine.md").write_text('{% extends "core:report.md" %}{% block title %}# Mine{% endblock %}')
    assert (
        command("run", "--model", "wan2_1", "--variant", "tiny", "--out", "R", PERFKIT_TEMPLATE="mine.md").returncode
        == 0
    )
    assert (place / "project" / "R" / "report.md").read_text().startswith("# Mine\n")
    assert command("report", "R").stdout.startswith("# perfkit report")
    listed = {entry["name"]: entry for entry in json.loads(command("list", "templates", "--json").stdout)}
    assert listed["mine.md"]["origin"] == "project"
    done = command("report", "R", "--template", "mien.md")
    assert done.returncode == 2
    assert "did you mean 'mine.md'" in done.stderr
