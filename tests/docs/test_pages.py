"""Links resolve, documented commands and code run, and hand-written facts are true."""

from __future__ import annotations

import re
import shutil

import pytest

from perfkit_core import api

from .conftest import ROOT, Page

PLACES = ("docs/*.md", "*.md", "templates/*.md", "plugins/*/README.md", "examples/*/README.md")
PAGES = sorted(path for place in PLACES for path in ROOT.glob(place))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """The anchors that a markdown page offers."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_resolve(path):
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in _LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{path.name}: {link}"


def test_every_page_is_reachable_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name == "index.md" or f"({path.name})" in index, path.name


def test_getting_started_runs_as_written(page, execute, tmp_path):
    text = page("getting-started.md")
    commands = text.shell()
    assert len(commands) > 10
    for line in commands:
        expected = re.search(r"# exit (\d)$", line)
        execute(line, tmp_path, code=int(expected[1]) if expected else 0)
    for name in re.findall(r"^\| `([\w./]+)` \|", text.text.split("run directory")[1], re.MULTILINE):
        assert (tmp_path / "R" / name).is_file(), name
    (code,) = [code for file, language, code in text.blocks if language == "python"]
    (tmp_path / "notebook.py").write_text(code)
    printed = execute("python notebook.py", tmp_path).splitlines()
    assert len(printed) == 5
    assert printed[-1].startswith("FLOPs fall from ")


def test_captures_run_as_written(page, execute, tmp_path):
    found = page("captures.md")
    for name, code in found.files().items():
        (tmp_path / name).write_text(code)
    for line in found.shell():
        execute(line, tmp_path)
    assert "gemm" in (tmp_path / "C" / "report.md").read_text()
    assert execute("python marked.py", tmp_path) == "499500\n"
    assert execute("python notebook.py", tmp_path).splitlines() == [" step 2000000", "copy.csv"]


def test_measure_runs_as_written(page, execute, tmp_path):
    text = page("measure.md")
    for line in text.shell():
        execute(line, tmp_path)
    names = re.findall(r"^\| `([\w./-]+)` \|", text.text, re.MULTILINE)
    assert len(names) > 5
    for name in names:
        assert (tmp_path / "M" / name).is_file(), name
    (code,) = [code for file, language, code in text.blocks if language == "python"]
    (tmp_path / "own.py").write_text(code)
    assert execute("python own.py", tmp_path).strip() == "ab"


def test_the_code_of_templates_runs_as_written(page, execute, tmp_path):
    text = page("templates.md")
    api.run("wan2_1", variant="tiny", out=tmp_path / "R")
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    plain = execute("perfkit report R", tmp_path)
    for name, code in text.files().items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    outputs = [execute(line, tmp_path) for line in text.shell()]
    assert outputs[0].startswith("# wan2_1 tiny ci_tiny at a glance")
    assert outputs[1].startswith("`text_encoder`: ")
    reviewed = execute("perfkit report R", tmp_path)
    assert reviewed.startswith("# wan2_1 tiny ci_tiny for the quarterly review")
    assert "Largest stage: `" in reviewed
    assert "## Provenance" in plain
    assert "## Provenance" not in reviewed
    assert "<header>Internal</header>" in execute("perfkit report R --format html", tmp_path)


def test_the_listed_blocks_are_those_of_the_templates(page):
    prose = " ".join(page("templates.md").text.split())
    for name in ("report.md", "summary.md", "compare.md", "report.html"):
        source = (ROOT / "src" / "perfkit_core" / "templates" / name).read_text()
        listed = re.search(rf"[Oo](?:f|locks of) `{re.escape(name)}`: ([^.]*)\.", prose.replace("Blocks of", "Of"))
        assert listed, name
        assert set(re.findall(r"`(\w+)`", listed[1])) == set(re.findall(r"{% block (\w+) %}", source)), name


def test_the_instructions_beside_the_worked_templates_work(execute, tmp_path):
    text = Page(ROOT / "templates" / "README.md").text
    folders = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert folders == sorted(path.name for path in (ROOT / "templates").iterdir() if path.is_dir())
    api.run("wan2_1", variant="tiny", out=tmp_path / "RUN")
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    (block,) = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    first, copy, last = (line.strip() for line in block.splitlines())
    expected = execute(first, tmp_path)
    assert expected.startswith("# wan2_1 tiny ci_tiny at a glance")
    execute(f"bash -c '{copy}'", tmp_path)
    assert execute(last, tmp_path) == expected


def test_the_formula_page_gives_the_numbers_of_the_cost_tree(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generators import formulas

    found = {network.title: network.evaluate() for network in formulas.networks()}
    stages = {name: node.inclusive for name, node in api.estimate("wan2_1", workload="native_720p").tree.stages}
    for title, stage, calls in (
        ("Text encoder", "text_encoder", 2),
        ("Diffusion transformer", "denoise", 100),
        ("VAE decoder", "vae_decode", 1),
    ):
        for field in ("flops", "elementwise_flops", "bytes_read", "bytes_written"):
            assert getattr(found[title], field) * calls == getattr(stages[stage], field), (title, field)
        assert found[title].parameters == stages[stage].parameters
