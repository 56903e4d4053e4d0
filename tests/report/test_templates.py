"""Template lookup, overrides and the messages for broken templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit_core.errors import UsageError
from perfkit_core.report import render
from perfkit_core.template_lookup import list_templates

OVERRIDE = Path(__file__).parents[2] / "templates" / "executive"


def put(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_lookup_order_is_command_line_project_user_core(tiny, place):
    assert render(tiny).startswith("# perfkit report")
    put(place / "config" / "perfkit" / "templates", "report.md", "user")
    assert render(tiny) == "user\n"
    put(place / "project" / ".perfkit" / "templates", "report.md", "project")
    assert render(tiny) == "project\n"
    put(place / "given", "report.md", "given")
    assert render(tiny, template_dir=place / "given") == "given\n"
    file = put(place / "elsewhere", "mine.md", "file")
    assert render(tiny, template=str(file), template_dir=place / "given") == "file\n"
    assert render(tiny, template="core:report.md", template_dir=place / "given").startswith("# perfkit report")


def test_a_changed_added_or_removed_template_is_noticed_within_one_process(tiny, place):
    folder = place / "project" / ".perfkit" / "templates"
    file = put(folder, "report.md", "{% include 'part.md' %}")
    part = put(place / "config" / "perfkit" / "templates", "part.md", "one")
    assert render(tiny) == "one\n"
    part.write_text("another")
    assert render(tiny) == "another\n"
    nearer = put(folder, "part.md", "nearer")
    assert render(tiny) == "nearer\n"
    nearer.unlink()
    assert render(tiny) == "another\n"
    file.unlink()
    assert render(tiny).startswith("# perfkit report")


def test_the_project_is_found_from_a_folder_below(tiny, place, monkeypatch):
    put(place / "project" / ".perfkit" / "templates", "report.md", "project")
    below = place / "project" / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert render(tiny) == "project\n"


def test_plugin_templates_come_before_core_and_have_a_prefix(tiny, place, monkeypatch):
    import perfkit_wan2_1

    package = place / "package"
    put(
        package / "templates",
        "report.md",
        '{% extends "core:report.md" %}{% block title %}from the plugin{% endblock %}',
    )
    monkeypatch.setattr(perfkit_wan2_1.__spec__, "submodule_search_locations", [str(package)])
    assert render(tiny).startswith("from the plugin\n")
    assert render(tiny, template="wan2_1:report.md").startswith("from the plugin\n")
    assert render(tiny, template="perfkit-wan2-1:report.md").startswith("from the plugin\n")
    assert render(tiny, template="core:report.md").startswith("# perfkit report")
    put(place / "project" / ".perfkit" / "templates", "report.md", "project")
    assert render(tiny) == "project\n"


def test_an_override_extends_what_it_replaces(tiny, place):
    put(
        place / "project" / ".perfkit" / "templates",
        "report.md",
        '{% extends "core:report.md" %}{% block title %}# Mine{% endblock %}'
        "{% block notes %}{{ super() }}More.{% endblock %}",
    )
    text = render(tiny)
    assert text.startswith("# Mine\n")
    assert "## Stages" in text
    assert "More." in text.split("## Notes")[1]


def test_the_worked_override_fits_on_a_page_and_keeps_the_numbers(full, place):
    text = render(full, template_dir=OVERRIDE)
    assert text.startswith("# wan2_1 t2v_14b native_720p at a glance\n")
    assert len(text.splitlines()) < 60
    assert "653.0 PFLOP" in text
    assert "1. self-attention core: 71.7 %" in text
    assert "blocks.0" not in text
    assert "<h1>" in render(full, template_dir=OVERRIDE, fmt="html")


def test_html_wrapper_and_html_templates_can_be_overridden(tiny, place):
    folder = place / "given"
    put(
        folder,
        "report.html",
        '{% extends "core:report.html" %}{% block title %}T & {{ report.run.model }}{% endblock %}',
    )
    assert "<title>T & wan2_1</title>" in render(tiny, template_dir=folder, fmt="html")
    own = put(folder, "own.html", "<p>{{ '<' }}</p>{{ page.body }}")
    page = render(tiny, template=str(own), fmt="html")
    assert page.startswith("<p>&lt;</p><h1>perfkit report")
    with pytest.raises(UsageError, match="makes HTML"):
        render(tiny, template=str(own))


def test_a_report_in_the_working_directory_does_not_hide_the_template(tiny, place):
    Path("report.md").write_text("an old report")
    assert render(tiny).startswith("# perfkit report")
    Path("other.md").write_text("a template beside me")
    assert render(tiny, template="other.md") == "a template beside me\n"
    assert render(tiny, template="./report.md") == "an old report\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\n{% if %}", "line 2: Expected an expression"),
        ("one\n\n{{ nonsense }}", "line 3: 'nonsense' is undefined"),
        ("one\n{{ report.stagez }}", "line 2: ReportContext has no attribute 'stagez'"),
        ("{{ report.run.model }}\n{{ 1 | flop }}", "line 2: No filter named 'flop'"),
        ("\n{% include 'gone.md' %}", "line 2: there is no template 'gone.md'"),
        ("\n{{ 'x' | flops }}", "line 2: TypeError"),
        ("\n{{ 1 / 0 }}", "line 2: ZeroDivisionError"),
        ("\n{{ report.run.model.__class__ }}", "line 2: access to attribute '__class__'"),
        ("\n{{ report._source.path.unlink() }}", "line 2: access to attribute '_source'"),
        ("\n{% set x = report.analytic.parameters %}{{ x.clear() }}", "line 2:"),
    ],
)
def test_a_broken_template_is_one_line_with_file_and_line(tiny, place, text, expected):
    file = put(place / "given", "broken.md", text)
    with pytest.raises(UsageError) as caught:
        render(tiny, template=str(file))
    assert f"{file}, {expected}" in caught.value.message
    assert "\n" not in caught.value.message


def test_the_line_is_that_of_the_file_with_the_fault_not_of_its_parent(tiny, place):
    file = put(
        place / "given", "child.md", '{% extends "core:report.md" %}\n{% block notes %}\n{{ oops }}\n{% endblock %}'
    )
    with pytest.raises(UsageError) as caught:
        render(tiny, template=str(file))
    assert f"{file}, line 3: 'oops' is undefined" in caught.value.message


def test_missing_templates_and_folders_suggest_what_exists(tiny, place):
    with pytest.raises(UsageError) as caught:
        render(tiny, template="reprot.md")
    assert "report.md" in caught.value.fix
    with pytest.raises(UsageError, match=r"there is no template 'nobody:report\.md'"):
        render(tiny, template="nobody:report.md")
    with pytest.raises(UsageError, match="no template file"):
        render(tiny, template="no/such.md")
    with pytest.raises(UsageError, match="does not exist"):
        render(tiny, template_dir=place / "nowhere")
    put(place / "given", "latin.md", "")
    (place / "given" / "latin.md").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UsageError, match=r"UTF-8|cannot be read"):
        render(tiny, template="latin.md", template_dir=place / "given")


def test_an_override_that_extends_itself_is_told_to_use_the_prefix(tiny, place):
    folder = place / "given"
    put(folder, "report.md", '{% extends "report.md" %}')
    with pytest.raises(UsageError) as caught:
        render(tiny, template_dir=folder)
    assert "core:report.md" in caught.value.fix


def test_no_name_leads_out_of_the_template_folders(tiny, place):
    put(place, "secret.md", "secret")
    put(place / "given", "a.md", "{% include '../secret.md' %}")
    with pytest.raises(UsageError, match="no template"):
        render(tiny, template="a.md", template_dir=place / "given")


def test_listing_shows_the_template_that_wins(place):
    put(place / "project" / ".perfkit" / "templates", "report.md", "{# Ours. #}")
    found = {entry.name: entry for entry in list_templates()}
    assert found["report.md"].origin == "project"
    assert found["report.md"].summary == "Ours."
    assert found["summary.md"].origin == "core"
    assert found["summary.md"].distribution == "perfkit-core"
