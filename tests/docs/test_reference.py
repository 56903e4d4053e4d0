"""The reference pages: generated from the code as it is, and complete."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
import sys
import tomllib
from functools import cached_property

import click
import jsonschema
import pytest

from perfkit_core import (
    capture_context,
    costtree,
    counter_use,
    errors,
    findings,
    hookspecs,
    importer,
    kernel_use,
    ops,
    recommendations,
    reference,
    settings,
    specs,
    stage_facts,
    stage_table,
    summary_rows,
    takeaways,
    template_context,
    top_work,
)
from perfkit_core.cli import perfkit
from perfkit_core.families import Family
from perfkit_core.plugins import HOOKS

from .conftest import ROOT


def section(text, heading):
    """The text below one second-level heading."""
    assert f"\n## {heading}\n" in text, heading
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text):
    """The table rows of a section as {first cell without backticks: last cell}."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            found[cells[0].strip("`").replace("\\|", "|")] = cells[-1]
    return found


def documented(page_text, heading, names):
    table = rows(section(page_text, heading))
    missing = [name for name in names if not table.get(name)]
    assert not missing, f"{heading}: {missing}"


def test_generated_pages_match_the_code(execute):
    execute("python docs/generate.py --check", ROOT)


def test_the_check_fails_and_names_the_page_that_drifted(tmp_path):
    import subprocess

    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins")
    page = tmp_path / "docs" / "cli.md"
    page.write_text(page.read_text().replace("--fail-above", "--fail-over"))
    (tmp_path / "docs" / "schema" / "gone.json").write_text("{}")
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    named = [line.split()[0] for line in done.stderr.splitlines()]
    assert named == ["docs/cli.md", "docs/schema/gone.json"]


def test_every_hook_is_documented(page):
    table = rows(page("hooks.md").text)
    hooks = [name for name in vars(hookspecs) if name.startswith("perfkit_")]
    assert hooks
    assert set(hooks) == set(HOOKS)
    assert all(table.get(hook) for hook in hooks)


def test_every_field_of_every_spec_is_documented(page):
    kinds = [
        kind for kind in vars(specs).values() if dataclasses.is_dataclass(kind) and kind.__module__ == specs.__name__
    ]
    kinds += [reference.Reference, reference.ReferenceCall, importer.ImportContext, importer.Imported]
    assert {kind.__name__ for _, kind in HOOKS.values()} <= {kind.__name__ for kind in kinds}
    for kind in kinds:
        documented(page("hooks.md").text, kind.__name__, [field.name for field in dataclasses.fields(kind)])


def test_every_class_and_operation_of_cost_trees_is_documented(page):
    text = page("cost-tree.md").text
    for kind in (costtree.CostTree, costtree.Node, costtree.Parameter, costtree.MemoryEstimate, costtree.Cost, ops.Op):
        documented(text, kind.__name__, list(inspect.signature(kind).parameters))
    for name, function in vars(ops).items():
        if inspect.isfunction(function) and function.__module__.startswith(ops.__name__) and not name.startswith("_"):
            assert f"\n### {name}\n" in text


def test_every_option_of_every_command_is_documented(page):
    text = page("cli.md").text
    context = click.Context(perfkit, info_name="perfkit")
    for name in perfkit.list_commands(context):
        command = perfkit.get_command(context, name)
        table = rows(section(text, f"perfkit {name}"))
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option):
                options = [key for key in table if parameter.opts[0] in re.split(r"[ ,]+", key)]
                assert options, f"{name} {parameter.opts}"
                assert table[options[0]]
                assert parameter.help, f"{name} {parameter.opts}"


def test_every_setting_and_exit_code_is_documented(page):
    table = rows(page("settings.md").text)
    assert all(table.get(name) for name in settings.Settings.model_fields)
    assert all(name in page("settings.md").text for name in settings.RESERVED_VARIABLES)
    text = page("errors.md").text
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.PerfkitError) and kind is not errors.PerfkitError:
            assert f"| {kind.exit_code} | `{kind.__name__}` |" in text
    assert all(f"| {code} |" in text for code in (0, 1, 2, 3, 4, 5, 6, 130))


def test_every_name_of_the_template_context_is_documented(page):
    text = page("template-context.md").text
    for kind in (
        template_context.ReportContext,
        template_context.StageRow,
        stage_table.MeasuredRow,
        stage_table.MemoryRow,
        Family,
        capture_context.CaptureContext,
        capture_context.CaptureRow,
        capture_context.KernelTotal,
        findings.Findings,
        stage_facts.Whole,
        stage_facts.StageFacts,
        kernel_use.KindUse,
        counter_use.Counted,
        takeaways.Takeaway,
        recommendations.Recommendation,
        summary_rows.SummaryRow,
        top_work.OperatorLine,
        top_work.KernelLine,
        template_context.Page,
    ):
        names = {*getattr(kind, "_fields", ()), *(name for name in getattr(kind, "__dataclass_fields__", ()))}
        names |= {name for name, value in vars(kind).items() if isinstance(value, property | cached_property)}
        documented(text, kind.__name__, [name for name in names if not name.startswith("_")])
    documented(text, "Filters", template_context.FILTERS)
    assert f"`context_version` is {template_context.TEMPLATE_CONTEXT_VERSION}." in text


def test_every_module_has_a_line(page):
    table = rows(page("modules.md").text)
    for source in (ROOT / "src", *(ROOT / "plugins").glob("*/src")):
        for path in source.rglob("*.py"):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            assert table.get(name), name


def test_every_library_is_explained(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = page("dependencies.md").text
    extras = [name for group in project["project"]["optional-dependencies"].values() for name in group]
    plugins = [
        name
        for path in (ROOT / "plugins").glob("*/pyproject.toml")
        for group in tomllib.loads(path.read_text())["project"].get("optional-dependencies", {}).values()
        for name in group
    ]
    development = [name for name in project["dependency-groups"]["dev"] if not name.startswith("types-")]
    for requirement in (*project["project"]["dependencies"], *extras, *plugins, *development):
        name = re.match(r"[\w-]+", requirement)[0]
        assert f"`{name}`" in text, name


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with every built-in file, verified and compared."""
    from perfkit_core import api

    root = tmp_path_factory.mktemp("runs")
    base = api.run("wan2_1", variant="tiny", out=root / "base")
    head = api.run("wan2_1", variant="tiny", options={"num_frames": 9}, out=root / "head")
    api.verify("wan2_1", variant="tiny", out=root / "base")
    api.write_comparison(api.compare(base, head), base, head)
    return root


FILES = {
    "base/run.json": "run",
    "base/env.json": "environment",
    "base/analytic/report.json": "analytic",
    "base/verify/layers.json": "verify",
    "base/verify/end2end.json": "end2end",
    "head/compare/base.json": "compare",
}


@pytest.mark.parametrize(("file", "schema"), FILES.items())
def test_real_files_follow_the_published_schemas(runs, docs, file, schema):
    rules = json.loads((docs / "schema" / f"{schema}.json").read_text())
    content = json.loads((runs / file).read_text())
    jsonschema.validate(content, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "unknown_field": 1}, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "schema": "perfkit.other/1"}, rules)


def test_no_json_file_of_a_run_is_without_schema(runs):
    found = {path.relative_to(runs).as_posix() for path in runs.rglob("*.json")}
    known = {name.partition("/")[2] for name in FILES}
    left = {name for name in found if name.partition("/")[2] not in known and "/passes/" not in name}
    assert not left


def test_every_field_of_the_schemas_has_a_meaning_on_the_page(page, docs):
    text = page("schema.md").text
    for path in sorted((docs / "schema").glob("*.json")):
        schema = json.loads(path.read_text())
        for name, record in {schema["title"]: schema, **schema.get("$defs", {})}.items():
            documented(text, name, record["properties"])
            assert record["additionalProperties"] is False


@pytest.mark.parametrize(
    ("command", "heading"),
    [
        ("list models", "list"),
        ("list workloads", "list"),
        ("list backends", "list"),
        ("list exporters", "list"),
        ("list templates", "list"),
        ("plugins", "plugins"),
        ("plugins --verbose", "plugins"),
        ("doctor", "doctor"),
        ("run --model wan2_1 --variant tiny --out R", "run"),
        ("hotspots {runs}/base", "Hotspots"),
        ("compare {runs}/base {runs}/head --out C", "Comparison"),
    ],
)
def test_every_field_of_json_on_stdout_is_documented(command, heading, page, runs, execute, tmp_path):
    text = page("schema.md").text
    printed = json.loads(execute(f"perfkit {command.format(runs=runs)} --json", tmp_path))
    title = heading if heading[0].isupper() else f"perfkit {heading} --json"
    known = set(rows(section(text, title)))
    if heading == "run":
        known |= set(rows(section(text, "RunIndex")))
    for entry in printed if isinstance(printed, list) else [printed]:
        assert set(entry) <= known, set(entry) - known
