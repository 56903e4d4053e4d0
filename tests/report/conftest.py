"""Runs that the report tests render."""

from __future__ import annotations

import pytest

from perfkit_core import api


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return api.run("wan2_1", variant="tiny", out=tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    return api.run("wan2_1", out=tmp_path_factory.mktemp("runs") / "full")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty project and home, so that nobody's own templates take part."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "perfkit.toml").write_text("")
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path
