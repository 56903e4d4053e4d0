"""Plugins that break a rule: only they suffer, they are named, and they matter only to who asks for them."""

from __future__ import annotations

import shutil

import pytest

from .broken import MISTAKES, PROJECTS
from .distributions import PERFKIT, run_command

HARMFUL = ("absent", "exits", "misspelt", "future", "mistakes")


def statuses(outcome):
    assert outcome.code == 0, outcome.stderr
    return {(one["distribution"], one["name"]): one for one in outcome.json}


@pytest.fixture(scope="session")
def beside_all():
    return {"beside": HARMFUL}


def test_everything_else_still_works_beside_all_of_them(perfkit, beside_all, tmp_path):
    run = perfkit("run", "--model", "wan2_1", "--variant", "tiny", "--out", "R", "--json", **beside_all)
    assert run.code == 0, run.stderr
    assert run.json["status"] == "done"
    assert run.json["totals"]["flops"] > 0
    assert (tmp_path / "R" / "report.md").is_file()
    # They took no part, so the run does not name them.
    assert not {one["distribution"] for one in run.json["plugins"]} & {PROJECTS[name].name for name in HARMFUL}


def test_each_has_its_own_status_and_the_sound_ones_are_active(perfkit, beside_all):
    found = statuses(perfkit("plugins", "--json", **beside_all))
    assert found["perfkit-core", "builtin"]["status"] == "active"
    assert found["perfkit-wan2-1", "wan2_1"]["status"] == "active"
    assert "model:wan2_1" in found["perfkit-wan2-1", "wan2_1"]["provides"]
    for name in ("absent", "exits", "misspelt"):
        assert found[PROJECTS[name].name, name]["status"] == "failed"
    assert found["perfkit-future", "future"]["status"] == "incompatible"
    for one in found.values():
        assert "\n" not in one["error"]
        assert one["version"]
        if one["status"] != "active":
            assert one["provides"] == []
            assert one["error"]


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_fails_its_plugin_and_is_named(perfkit, mistakes, name):
    plugin = mistakes["perfkit-mistakes", name]
    assert plugin["status"] == "failed"
    assert MISTAKES[name][1] in plugin["error"]
    assert plugin["traceback"]


@pytest.fixture(scope="module")
def mistakes(site, tmp_path_factory):

    return statuses(
        run_command(
            [*PERFKIT, "plugins", "--verbose", "--json"],
            tmp_path_factory.mktemp("cwd"),
            PYTHONPATH=str(site("mistakes")),
        )
    )


def test_import_error_shows_its_traceback_when_asked(perfkit):
    short = perfkit("plugins", beside=["absent"])
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in short.stdout
    assert "Traceback" not in short.stdout
    long = perfkit("plugins", "--verbose", beside=["absent"])
    assert "Traceback (most recent call last)" in long.stdout
    assert "import a_module_that_nobody_has" in long.stdout


def test_misspelt_hook_names_the_nearest_and_where_it_stands(perfkit):
    outcome = perfkit("plugins", "--verbose", beside=["misspelt"])
    assert (
        "unknown hook 'perfkit_exporter' in perfkit_misspelt.misspelt: did you mean 'perfkit_exporters'"
        in outcome.stdout
    )
    assert "perfkit_misspelt/misspelt.py, line" in outcome.stdout


def test_incompatible_core_says_what_it_needs_and_is_not_imported(perfkit):
    plugin = statuses(perfkit("plugins", "--verbose", "--json", beside=["future"]))["perfkit-future", "future"]
    assert plugin["status"] == "incompatible"
    assert plugin["error"].startswith("needs perfkit-core>=99, but this is perfkit-core 0.")


def test_a_requirement_on_core_counts_in_every_spelling(site, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(site("future"), copy)
    (metadata,) = copy.glob("*.dist-info/METADATA")
    text = metadata.read_text()
    assert "perfkit-core>=99" in text
    metadata.write_text(text.replace("perfkit-core>=99", "Perfkit_Core (>=99)"))
    found = statuses(run_command([*PERFKIT, "plugins", "--json"], tmp_path, PYTHONPATH=str(copy)))
    assert found["perfkit-future", "future"]["status"] == "incompatible"


@pytest.mark.parametrize(
    ("point", "metadata", "error"),
    [
        ("odd = odd", b"Metadata-Version: 2.1\nName: odd\nVersion: \xff\n", "UnicodeDecodeError"),
        ("odd = odd", b"Metadata-Version: 2.1\nName: odd\nRequires-Dist: perfkit-core >>> 3\n", "InvalidRequirement"),
        ("odd = json:absent", b"Name: odd\nVersion: 1\n", "AttributeError"),
        ("odd = not a module!", b"Name: odd\nVersion: 1\n", "entry point 'not a module!' is neither"),
        ("odd = odd", b"", "ModuleNotFoundError"),
    ],
)
def test_damaged_metadata_is_the_failure_of_that_plugin_alone(tmp_path, point, metadata, error):
    information = tmp_path / "site" / "odd-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_bytes(metadata)
    (information / "entry_points.txt").write_text(f"[perfkit]\n{point}\n")
    outcome = run_command([*PERFKIT, "plugins", "--json"], tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert outcome.code == 0, outcome.stderr
    found = {one["name"]: one for one in outcome.json}
    assert found["odd"]["status"] == "failed"
    assert found["odd"]["error"].startswith(error)
    assert found["wan2_1"]["status"] == "active"


def test_what_a_plugin_prints_or_exits_with_spoils_nothing(perfkit):
    outcome = perfkit("plugins", "--json", beside=["exits"])
    assert statuses(outcome)["perfkit-exits", "exits"]["error"] == "SystemExit: 7"
    assert "hello from a plugin" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("absent", "absent"),  # the entry point's name
        ("absent", "absent_net"),  # begins with it
        ("absent", "perfkit-absent:anything"),
        ("exits", "exits"),
        ("future", "future"),
        ("misspelt", "net_of_misspelt"),  # what its sound hooks returned
    ],
)
def test_asking_for_what_a_failed_plugin_provides_is_fatal_and_names_it(perfkit, tmp_path, name, model):
    outcome = perfkit("run", "--model", model, "--out", "R", beside=[name])
    assert outcome.code == 3
    assert outcome.stdout == ""
    assert f"perfkit-{name}" in outcome.stderr
    assert repr(name) in outcome.stderr
    assert "perfkit plugins --verbose" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "R").exists()


def test_names_from_the_sound_hooks_of_a_broken_plugin_are_known(perfkit):
    outcome = perfkit("run", "--model", "wan2_1", "--exporter", "sheet_of_half", beside=["half"])
    assert outcome.code == 3
    assert "plugin 'half' of perfkit-half 1.0 is failed: perfkit_models returned int" in outcome.stderr


def test_an_unknown_name_is_a_usage_error_that_mentions_what_did_not_load(perfkit):
    outcome = perfkit("run", "--model", "wan2_2", beside=["absent"])
    assert outcome.code == 2
    assert "did you mean 'wan2_1'?" in outcome.stderr
    assert "not loaded: absent" in outcome.stderr


@pytest.mark.parametrize("name", ["wan2_1", "perfkit-wan2-1", "Perfkit.Wan2_1", "perfkit-wan2-1:wan2_1", "x, wan2_1"])
def test_a_plugin_can_be_turned_off_by_any_of_its_names(perfkit, name):
    found = statuses(perfkit("plugins", "--json", PERFKIT_DISABLE=name))
    assert found["perfkit-wan2-1", "wan2_1"]["status"] == "disabled"
    assert found["perfkit-nsight", "nsight"]["status"] == "active"
    outcome = perfkit("run", "--model", "wan2_1", PERFKIT_DISABLE=name)
    assert outcome.code == 3
    assert "PERFKIT_DISABLE" in outcome.stderr


def test_turning_off_an_unknown_plugin_is_said_on_stderr(perfkit):
    outcome = perfkit("plugins", "--json", PERFKIT_DISABLE="wan21")
    assert statuses(outcome)["perfkit-wan2-1", "wan2_1"]["status"] == "active"
    assert "'wan21'" in outcome.stderr
    assert "did you mean 'wan2_1'" in outcome.stderr


def test_a_disabled_broken_plugin_is_not_even_imported(perfkit):
    outcome = perfkit("plugins", "--json", beside=["exits"], PERFKIT_DISABLE="exits")
    assert statuses(outcome)["perfkit-exits", "exits"]["status"] == "disabled"
    assert "hello" not in outcome.stderr
