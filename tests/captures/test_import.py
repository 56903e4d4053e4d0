"""Runs made out of files: chosen importers, what is written, what reads such runs, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

REGIONS = [["perfkit", "denoise", 10, 40], ["perfkit", "denoise/step", 30, 30], ["torch", "aten::mm", 35, 35]]


@pytest.fixture
def file(tmp_path):
    def write(name="a.lab", kind="plain", regions=REGIONS, outside=60):
        path = tmp_path / name
        path.write_text(json.dumps({"lab": kind, "regions": regions, "outside": outside}))
        return path

    return write


def test_a_file_becomes_a_run_and_stays_as_it_was(perfkit, file, tmp_path):
    path = file()
    before = path.read_bytes()
    done = perfkit("import", path, "--out", "R", "--json")
    assert done.code == 0, done.err
    assert path.read_bytes() == before
    run = json.loads((tmp_path / "R" / "run.json").read_text())
    assert (run["kind"], run["model"], run["status"]) == ("import", "", "done")
    (source,) = run["sources"]
    assert source == {
        "name": "a.lab",
        "bytes": len(before),
        "sha256": hashlib.sha256(before).hexdigest(),
        "importer": "lab",
        "tool": "lab 7",
    }
    (made,) = run["passes"]
    assert (made["directory"], made["notes"]) == ("passes/00-lab", ["imported by the lab"])
    assert json.loads((tmp_path / "R/passes/00-lab/raw.json").read_text()) == {"n": 1}
    stored = json.loads((tmp_path / "R" / "regions.json").read_text())
    shown = done.json()
    assert shown["run_dir"] == "R"
    assert shown["schema"] == "perfkit.regions/1"
    assert shown["regions"] == stored["regions"]
    assert shown["totals"] == stored["totals"]
    assert (
        shown["source_pass"]
        == json.loads((tmp_path / "R/run.json").read_text())["file_passes"]["regions.json"]
        == "passes/00-lab"
    )
    assert "in `passes/00-lab`" in (tmp_path / "R/regions.md").read_text()


def test_the_report_shows_regions_kernels_and_where_they_come_from(perfkit, file):
    assert perfkit("import", file(), "--out", "R").code == 0
    report = perfkit("report", "R")
    assert report.code == 0, report.err
    assert "| `perfkit` | `denoise/step` | 3 |" in report.out
    assert "`k<denoise/step>`" in report.out
    assert "Nothing of it was measured" in report.out
    assert "There is no analytic view" in report.out
    page = perfkit("report", "R", "--format", "html")
    assert page.code == 0
    assert "<table>" in page.out


def test_hotspots_rank_one_domain_and_say_how_to_get_flops(perfkit, file):
    assert perfkit("import", file(), "--out", "R").code == 0
    ranked = perfkit("hotspots", "R", "--by", "time", "--json").json()
    assert [(row["path"], row["value"]) for row in ranked["layers"]] == [("denoise/step", 30), ("denoise", 10)]
    refused = perfkit("hotspots", "R")
    assert refused.code == 3
    assert "--by time; or perfkit import FILE --model M --workload W" in refused.err


def test_two_imports_compare_by_time_and_not_by_flops(perfkit, file):
    slower = [[*row[:2], row[2] * 2, row[3]] for row in REGIONS]
    assert perfkit("import", file("a.lab"), "--out", "A").code == 0
    assert perfkit("import", file("b.lab", regions=slower), "--out", "B").code == 0
    compared = perfkit("compare", "A", "B", "--by", "time", "--json")
    assert compared.code == 0, compared.err
    assert compared.json()["total"] == {"base": 40, "head": 80, "delta": 40}
    assert perfkit("compare", "A", "B").code == 3


def test_a_model_joins_its_analytic_view_by_path(perfkit, file, tmp_path):
    done = perfkit("import", file(), "--model", "wan2_1", "--variant", "tiny", "--out", "R")
    assert done.code == 0, done.err
    run = json.loads((tmp_path / "R" / "run.json").read_text())
    assert (run["kind"], run["model"]) == ("import", "wan2_1")
    assert [made["backend"] for made in run["passes"]] == ["analytic", "lab"]
    report = perfkit("report", "R").out
    row = next(line for line in report.splitlines() if "`denoise/step`" in line)
    assert row.endswith("FLOP |")
    assert perfkit("hotspots", "R").code == 0


@pytest.mark.parametrize("command", [["export", "R", "--exporter", "csv"], ["report", "R", "--template", "summary.md"]])
def test_what_needs_the_analytic_view_says_how_to_get_it(perfkit, file, command):
    assert perfkit("import", file(), "--out", "R").code == 0
    refused = perfkit(*command)
    assert refused.code == 3
    assert "perfkit import FILE --model M --workload W" in refused.err


def test_verify_does_not_write_into_an_import(perfkit, file):
    assert perfkit("import", file(), "--out", "R").code == 0
    refused = perfkit("verify", "--model", "wan2_1", "--variant", "tiny", "--out", "R")
    assert refused.code == 2
    assert "holds a run of imported files" in refused.err


def test_files_of_two_kinds_share_a_run_and_the_first_has_its_regions(perfkit, file, tmp_path):
    (tmp_path / "b.note").write_text("note")
    done = perfkit("import", file(), "b.note", "--out", "R")
    assert done.code == 0, done.err
    sources = json.loads((tmp_path / "R/run.json").read_text())["file_passes"]
    assert sources["regions.json"] == "passes/00-lab"
    assert sources["passes/01-notes/regions.json"] == "passes/01-notes"
    assert "Regions of b.note are in passes/01-notes/regions.json" in done.out


def test_two_files_of_one_kind_are_refused(perfkit, file, tmp_path):
    refused = perfkit("import", file("a.lab"), file("b.lab"), "--out", "R")
    assert refused.code == 2
    assert "a run has one of each kind" in refused.err
    assert not (tmp_path / "R").exists()


def test_parameters_go_to_the_importer(perfkit, file):
    done = perfkit("import", file(), "--set", "lab.factor=3", "--json")
    assert [row["exclusive_ns"] for row in done.json()["regions"]] == [30, 90, 105]
    for text in ("lab.factr=3", "height=3", "notes.x=1"):
        refused = perfkit("import", file(), "--set", text, "--out", "R")
        assert refused.code == 2, text


def test_a_projects_model_is_not_taken_for_that_of_foreign_files(perfkit, file, tmp_path):
    (tmp_path / "perfkit.toml").write_text('model = "wan2_1"\n[set]\nnum_frames = 5\n')
    assert perfkit("import", file(), "--out", "R").code == 0
    assert json.loads((tmp_path / "R" / "run.json").read_text())["model"] == ""


REFUSED = {
    "empty.lab": (b"", 5, "is empty"),
    "cut.lab": (b'{"lab": "pl', 5, "is cut off"),
    "foreign.lab": (b"GIF89a", 5, "is not what its suffix says: files of the lab"),
    "odd.lab": (b'{"lab": "odd"}', 4, "returned str, not Imported"),
    "broken.lab": (b'{"lab": "broken"}', 4, "RuntimeError: the widget fell off"),
    "a.gif": (b"GIF89a", 3, "no importer reads"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_read_leave_no_run(perfkit, tmp_path, name):
    content, code, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    refused = perfkit("import", name, "--out", "R")
    assert refused.code == code, refused.err
    assert words in refused.err
    assert "fix: " in refused.err
    assert not (tmp_path / "R").exists()


def test_unknown_files_are_told_what_is_accepted(perfkit, tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    assert ".lab" in perfkit("import", "a.gif").err
    for arguments, code in ((["none.lab"], 3), ([tmp_path], 3), ([], 2)):
        assert perfkit("import", *arguments).code == code


def test_a_wrong_suffix_does_no_harm(perfkit, file):
    assert perfkit("import", file("a.json"), "--out", "R").code == 0


def test_importers_are_listed(perfkit):
    found = {entry["name"]: entry for entry in perfkit("list", "importers", "--json").json()}
    assert found["lab"]["suffixes"] == [".lab"]
    assert found["lab"]["distribution"] == "perfkit-lab"


def test_scrub_writes_a_copy_beside_the_file_or_where_it_is_told(perfkit, tmp_path):
    path = tmp_path / "a.lab"
    path.write_text('{"lab": "secret"}')
    done = perfkit("scrub", path)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [str(tmp_path / "a.scrubbed.lab"), "the secret was removed"]
    assert (tmp_path / "a.scrubbed.lab").read_text() == '{"lab": "------"}'
    assert perfkit("scrub", path, "-o", "b.lab").code == 0
    assert (tmp_path / "b.lab").exists()
    assert path.read_text() == '{"lab": "secret"}'
    refused = perfkit("scrub", path, "-o", path)
    assert refused.code == 2
    (tmp_path / "b.note").write_text("note")
    refused = perfkit("scrub", "b.note")
    assert refused.code == 3
    assert "cannot be scrubbed" in refused.err


def test_the_api_does_the_same(environ, file, tmp_path):
    import subprocess
    import sys

    code = (
        "from perfkit_core import api; run = api.import_files(['a.lab'], options={'lab.factor': 2}, out='R');"
        "print(run.profile.totals.total_ns, run.index.kind, api.scrub('a.lab')[0].name)"
    )
    file()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["210", "import", "a.scrubbed.lab"], done.stderr
