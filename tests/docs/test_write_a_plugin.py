"""The plugin of docs/write-a-plugin.md, assembled from the page, installed and run."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def project(page, tmp_path_factory):
    root = tmp_path_factory.mktemp("perfkit-former")
    for name, code in page("write-a-plugin.md").files().items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    return root


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, *offline, str(project)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_every_command_of_the_page_works_as_written(page, project, site, execute, tmp_path):
    commands = page("write-a-plugin.md").shell()
    assert commands[0] == "pip install ."
    assert len(commands) > 5
    printed = {line: execute(line, tmp_path, site) for line in commands[1:]}
    (plugins,) = (text for line, text in printed.items() if line == "perfkit plugins")
    assert "former" in plugins
    report = next(text for line, text in printed.items() if line.startswith("perfkit report"))
    assert report.startswith("# former large pages: 32 768 rows\n")
    assert json.loads((tmp_path / "R" / "operations.json").read_text())["attention"] == 24 * 5
    assert (tmp_path / "R" / "exports" / "categories.json").is_file()
    verified = json.loads(next(text for line, text in printed.items() if line.endswith("--tolerance 0 --json")))
    assert verified["passed"]
    assert verified["mismatched"] == 0
    assert verified["max_bytes_difference"] == 0
    assert any(entry["kind"] == "elementwise" for layer in verified["layers"] for entry in layer["bytes"])


def test_its_own_tests_pass(project, site, execute):
    assert " passed" in execute("pytest -q -p no:cacheprovider tests", project, site)


def test_the_plugin_module_imports_nothing_heavy(site, execute, tmp_path):
    code = "import sys, perfkit_former.plugin; print(sorted({'torch', 'numpy', 'jinja2', 'rich'} & set(sys.modules)))"
    assert execute(shlex.join(["python", "-c", code]), tmp_path, site).strip() == "[]"


def test_the_layout_names_every_file(page):
    text = page("write-a-plugin.md")
    layout = text.text.split("## Layout and packaging")[1].split("File `")[0]
    assert all(name.rpartition("/")[2] in layout for name in text.files())


def test_every_python_file_is_fully_annotated(page):
    for name, code in page("write-a-plugin.md").files().items():
        if name.endswith(".py") and name.startswith("src/"):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.FunctionDef):
                    assert node.returns is not None, f"{name}: {node.name}"
