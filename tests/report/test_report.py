"""What the canonical reports say, as markdown and as HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from perfkit_core import api, units
from perfkit_core.errors import MissingError, UsageError
from perfkit_core.families import families, family_names
from perfkit_core.report import render, render_comparison, to_html
from perfkit_core.rundir import Run


def table(text, heading):
    """The cells of the first table after ``heading``, header included."""
    lines = iter(text.split(heading, 1)[1].splitlines())
    rows = []
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    return [rows[0], *rows[2:]]


def test_a_run_directory_gets_report_and_summary(tiny):
    assert (tiny.path / "report.md").read_text() == render(api.load_run(tiny.path))
    assert (tiny.path / "analytic" / "summary.md").read_text() == render(api.load_run(tiny.path), template="summary.md")


def test_the_stage_table_holds_the_reports_own_numbers(full):
    rows = table(render(full), "## Stages")
    for stage, row in zip(full.report.stages, rows[1:-1], strict=True):
        assert row[0] == f"`{stage.path}`"
        assert row[2] == units.format_flops(stage.flops)
        assert row[3] == units.format_share(stage.flops / full.report.totals.flops)
    assert rows[-1][2] == units.format_flops(full.report.totals.flops)


def test_top_layers_and_categories_by_flops_and_by_bytes(full):
    text = render(full)
    for heading, by, form in (
        ("## Where the FLOPs go", "flops", units.format_flops),
        ("## Where the bytes go", "bytes", units.format_bytes),
    ):
        section = text.split(heading, 1)[1]
        found = api.hotspots(full, by=by)
        layers = table(section, "Top 10 layers, ")
        ranked = sorted(families(full.report.modules), key=lambda one: (-getattr(one, by), one.name))
        assert [row[0] for row in layers[1:-1]] == [f"`{family.name}`" for family in ranked[:10]]
        assert layers[0][3] == f"share of {'FLOPs' if by == 'flops' else 'bytes'}"
        rest = sum(getattr(family, by) for family in ranked[10:])
        assert [row[2] for row in layers[1:]] == [form(getattr(one, by)) for one in ranked[:10]] + [form(rest)]
        assert sum(getattr(family, by) for family in ranked) == found.total
        categories = table(section, "Top 5 categories:")
        assert [row[0] for row in categories[1:-1]] == [category.name for category in found.categories]
        named = {one.name: one for one in full.report.categories}
        whole = named[found.categories[0].name]
        assert categories[1][3] == units.format_intensity(whole.flops / whole.bytes)
        assert len(layers) == 12
        assert len(categories) == 7


def test_equal_blocks_are_one_family_and_families_add_up(full):
    names = [row[0] for row in table(render(full), "## Where the FLOPs go")]
    assert "`denoise/step/transformer/blocks.*/attn1`" in names
    found = families(full.report.modules)
    assert sum(family.modules for family in found) == len(full.report.modules)
    assert sum(family.flops for family in found) == full.report.totals.flops
    assert sum(family.bytes for family in found) == full.report.totals.bytes_read + full.report.totals.bytes_written
    by_name = {family.name: family for family in found}
    assert by_name["denoise/step/transformer/blocks.*/attn1"].modules == 40
    # Unequal siblings keep their index.
    assert {"denoise/step/transformer/blocks.*/ffn/net.0", "denoise/step/transformer/blocks.*/ffn/net.2"} <= set(
        by_name
    )


def test_families_name_the_indices_where_only_some_siblings_are_equal():
    def module(path, flops, parameters=0):
        return SimpleNamespace(
            path=path,
            kind="block",
            category="c",
            calls=1,
            flops=flops,
            own_flops=flops,
            elementwise_flops=0,
            parameters=parameters,
            bytes_read=0,
            bytes_written=0,
        )

    modules = [module("s", 0), *(module(f"s/layers.{index}", 1 if index in {0, 5} else 2) for index in range(8))]
    names = family_names(modules)
    assert names["s/layers.0"] == "s/layers.[0,5]"
    assert names["s/layers.7"] == "s/layers.[1-4,6-7]"
    assert family_names([module("s", 0), module("s/only.0", 1)])["s/only.0"] == "s/only.0"
    unlike = [module("s", 0), module("s/a.0", 1, parameters=1), module("s/a.1", 1, parameters=2)]
    assert family_names(unlike)["s/a.1"] == "s/a.1"


def test_notes_and_what_is_not_modelled_are_in_the_report(full):
    html = " ".join(to_html(render(full)).split())
    for text in (*full.report.notes, *full.report.not_modelled):
        assert text.split(":")[0] in html
    assert "Not verified in this run" in html


def test_rendering_twice_gives_the_same(full):
    assert render(full) == render(full)
    assert render(full, fmt="html") == render(full, fmt="html")


def test_a_run_without_analytic_report_is_refused(tiny):
    empty = Run(path=tiny.path, index=tiny.index.model_copy(update={"files": ()}))
    with pytest.raises(MissingError, match=r"analytic/report\.json"):
        render(empty)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_html_is_self_contained_and_has_the_tables(full):
    page = render(full, fmt="html")
    tags = _Tags()
    tags.feed(page)
    names = [tag for tag, _ in tags.found]
    assert names.count("table") == render(full).count("\n|---")
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not [attrs for _, attrs in tags.found if "src" in attrs]
    links = [attrs["href"] for _, attrs in tags.found if "href" in attrs]
    assert links  # to files of the run alone
    assert set(links) <= set(full.index.files)
    assert "<title>wan2_1 t2v_14b native_720p</title>" in page


def test_html_escapes_whatever_names_contain(tiny):
    evil = "<script>alert(1)</script>|[x](javascript:alert(1))"
    report = tiny.report.model_copy(update={"architecture": evil, "notes": (evil,), "workload": evil})
    index = tiny.index.model_copy(update={"workload": evil})
    records = dict.fromkeys(("verification", "metrics", "profile", "counters"))
    run = Run(path=tiny.path, index=index)
    run.__dict__.update(report=report, **records)
    tags = _Tags()
    page = render(run, fmt="html")
    tags.feed(page)
    assert "script" not in [tag for tag, _ in tags.found]
    assert {attrs["href"] for tag, attrs in tags.found if tag == "a"} <= set(tiny.index.files)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3


def test_html_escapes_even_where_a_template_does_not(tiny, tmp_path):
    template = tmp_path / "raw.md"
    template.write_text("<script>alert(1)</script>\n\n<b onclick='x'>{{ report.run.model }}</b>\n")
    tags = _Tags()
    tags.feed(render(tiny, template=str(template), fmt="html"))
    assert not [tag for tag, _ in tags.found if tag in {"script", "b"}]


def test_an_unknown_format_is_refused(tiny):
    with pytest.raises(UsageError) as caught:
        render(tiny, fmt="htm")
    assert "html" in caught.value.fix


def test_a_comparison_is_rendered_with_its_numbers(tiny, tmp_path):
    head = api.run("wan2_1", variant="tiny", options={"num_frames": 9}, out=tmp_path / "head")
    comparison = api.compare(tiny, head)
    text = render_comparison(comparison)
    assert comparison.verdict.split(",")[0] in text
    layers = table(text, "## Layers")
    assert [row[0] for row in layers[1:-1]] == [f"`{row.path}`" for row in comparison.contributors]
    assert layers[-1][3] == units.format_quantity(comparison.other_contributors, "flops")
    assert ["`num_frames`", "4", "9"] in table(text, "## Workload")
    same = render_comparison(api.compare(tiny, tiny))
    assert "Both runs have the same parameters." in same
    assert "No layer changed." in same
    assert "<table>" in render_comparison(comparison, fmt="html")


def test_a_verified_run_shows_the_result(tiny):
    from perfkit_core.schema.verify import EndToEnd, LayerRecord, Unmatched, VerifyReport

    layer = LayerRecord.model_construct(
        path="denoise/step",
        calls=1,
        expected=10,
        counted=20,
        relative_difference=0.5,
        parameters_expected=0,
        parameters_counted=0,
        bytes=(),
        verdict="over",
    )
    values = {
        "expected": 10,
        "counted": 20,
        "relative_difference": 0.5,
        "parameters_expected": 0,
        "parameters_counted": 0,
    }
    check = VerifyReport.model_construct(
        passed=False,
        tolerance=0.05,
        modules=1,
        mismatched=1,
        max_relative_difference=0.5,
        max_bytes_difference=0.25,
        unmatched=tuple(Unmatched(path=f"stray.{index}", side="counted", flops=7) for index in range(12)),
        layers=(layer,),
        end_to_end=EndToEnd.model_construct(**values),
        methods=("by counting",),
    )
    absent = dict.fromkeys(("metrics", "profile", "counters"))
    run = Run(path=tiny.path, index=tiny.index)
    run.__dict__.update(report=tiny.report, verification=check, **absent)
    text = render(run)
    assert "**Failed**: 1 modules compared" in text
    assert ["`denoise/step`", "10 FLOP", "20 FLOP", "0.5", "over"] in table(text, "## Verification")
    assert "- by counting" in text
    assert "0.25 in traced bytes" in text
    assert "- only counted: `stray.9` (7 FLOP)" in text
    assert "- 2 more names without a counterpart" in text
