"""The built-in csv exporter."""

from __future__ import annotations

import csv

import pytest

from perfkit_core import api
from perfkit_core.errors import UsageError
from perfkit_core.schema.analytic import ModuleRecord


def test_every_module_and_value_is_in_the_table(full, tmp_path):
    (path,) = api.export(full, "csv", output=tmp_path / "modules.csv")
    rows = list(csv.DictReader(path.open(newline="")))
    assert list(rows[0]) == [name for name in ModuleRecord.model_fields if name != "ops"]
    expected = [module.model_dump(mode="json", exclude={"ops"}) for module in full.report.modules]
    assert rows == [{name: str(value) for name, value in module.items()} for module in expected]
    assert sum(int(row["own_flops"]) for row in rows) == full.report.totals.flops


def test_the_delimiter_can_be_chosen(tiny, tmp_path):
    (path,) = api.export(tiny, "csv", output=tmp_path / "m.csv", options={"delimiter": "semicolon"})
    assert path.read_text().startswith("path;kind;category;")
    with pytest.raises(UsageError, match="delimiter"):
        api.export(tiny, "csv", output=tmp_path / "n.csv", options={"delimiter": "pipe"})
    assert not (tmp_path / "n.csv").exists()


def test_a_run_can_export_by_itself(tmp_path):
    run = api.run("wan2_1", variant="tiny", exporters=["csv"], out=tmp_path / "run")
    assert run.index.status == "done"
    assert (tmp_path / "run" / "exports" / "csv.csv").is_file()
    assert "exports/csv.csv" in run.index.files
