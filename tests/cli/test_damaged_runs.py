"""A run whose files were damaged: one line that names file and field, code 5, and never a wrong number."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfkit_core import api, rundir
from perfkit_core.cli import perfkit
from perfkit_core.errors import UsageError
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.verify import BytesRecord, EndToEnd, LayerRecord, VerifyReport

REPORT = "analytic/report.json"
VERIFY = "verify/layers.json"
QUESTIONS = (
    ("hotspots", "D", "--json"),
    ("hotspots", "D", "--by", "bytes", "--json"),
    ("compare", "R", "D"),
    ("export", "D", "--exporter", "csv", "-o", "table.csv"),
    ("report", "D"),
)

Change = Callable[[Any], None]


def verification(run: rundir.Run) -> VerifyReport:
    """A result of ``perfkit verify`` for this run, without the minute that counting takes."""
    assert run.report is not None
    module = run.report.modules[0]
    totals = run.report.totals
    return VerifyReport(
        model=run.index.model,
        variant=run.index.variant,
        workload=run.index.workload,
        passed=True,
        tolerance=0.05,
        modules=1,
        counted_modules=1,
        mismatched=1,
        max_relative_difference=0.0,
        max_bytes_difference=0.01,
        unmatched=(),
        layers=(
            LayerRecord(
                path=module.path,
                calls=1,
                calls_expected=1,
                expected=module.flops,
                counted=module.flops,
                relative_difference=0.0,
                parameters_expected=module.parameters,
                parameters_counted=module.parameters,
                bytes=(BytesRecord(kind="linear", expected=99, counted=100),),
                verdict="within",
            ),
        ),
        end_to_end=EndToEnd(
            expected=totals.flops,
            counted=totals.flops,
            relative_difference=0.0,
            parameters_expected=totals.parameters,
            parameters_counted=totals.parameters,
        ),
        methods=("by hand",),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "R"
    run = api.run("wan2_1", variant="tiny", backends=["analytic"], out=path)
    writer = rundir.open_run(path)
    writer.write_json(VERIFY, verification(run))
    writer.update()
    return path


@pytest.fixture(scope="module")
def answers(made: Path) -> dict[tuple[str, ...], str]:
    """What the questions answer about an undamaged copy."""
    here = Path.cwd()
    shutil.copytree(made, made.with_name("D"))
    os.chdir(made.parent)
    found = {args: ask(*args) for args in QUESTIONS}
    os.chdir(here)
    assert {code for code, _, _ in found.values()} == {0}
    return {args: out for args, (_, out, _) in found.items()}


@pytest.fixture
def pair(made: Path, workplace: Path) -> Path:
    """The run as ``R`` and, to be damaged, as ``D``."""
    shutil.copytree(made, "R")
    shutil.copytree(made, "D")
    return workplace


def ask(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(perfkit, list(args), prog_name="perfkit")
    return done.exit_code, done.stdout, done.stderr


def assert_damaged(name: str, *texts: str, args: tuple[str, ...] = QUESTIONS[0]) -> None:
    code, out, err = ask(*args)
    assert (code, out) == (5, ""), err
    assert len(err.splitlines()) == 1
    assert f"D/{name}" in err
    assert "; fix: " in err
    for text in texts:
        assert text in err


def edit(name: str, change: Change) -> None:
    path = Path("D", name)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(*keys: Any) -> Change:
    """Return a change that sets the value at ``keys[:-1]`` to the last one."""
    *above, last, value = keys

    def change(content: Any) -> None:
        for key in above:
            content = content[key]
        assert content[last] != value
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        (REPORT, put("modules", 3, "own_flops", -1), "modules.3.own_flops: Input should be greater than or equal to 0"),
        (REPORT, put("totals", "flops", float("nan")), "totals.flops"),
        (REPORT, put("totals", "flops", "12"), "totals.flops: Input should be a valid integer"),
        (REPORT, put("totals", "flops", 12), "totals.flops: 12, but the modules have"),
        (REPORT, put("totals", "kv_cache_bytes", 10**400), "totals.kv_cache_bytes"),
        (REPORT, put("totals", "peak_memory_bytes", 5), "totals.peak_memory_bytes: 5, but run.json says"),
        (REPORT, put("categories", 0, "share", float("inf")), "categories.0.share: Input should be a finite number"),
        (REPORT, put("categories", 0, "share", 0.5), "categories"),
        (REPORT, put("categories", []), "categories: not those of the modules"),
        (REPORT, put("model", "other"), "model: 'other', but run.json says 'wan2_1'"),
        (REPORT, put("variant", "other"), "variant: 'other'"),
        (REPORT, put("workload", "other"), "workload: 'other'"),
        (REPORT, put("modules", []), "stages: 3 of them, but the modules say 0"),
        (REPORT, put("stages", 0, "flops", 1), "stages.0.flops: 1, but the modules say"),
        (REPORT, put("modules", 0, "flops", 1), "flops is 1, but it and the modules below it have"),
        (REPORT, put("modules", 0, "own_bytes_read", 1), "own_bytes_read is 1, but its operations have 0"),
        (REPORT, put("modules", 1, "path", "nowhere/else"), "'nowhere/else' has no module above it"),
        (REPORT, lambda content: content["modules"].append(content["modules"][-1]), "stands there twice"),
        (REPORT, put("parameters", "height", float("nan")), "parameters.height"),
        ("run.json", put("totals", "parameters", 1), "totals.parameters: 1, but the stages have"),
        ("run.json", put("totals", None), "totals: null, although there are stages"),
        ("run.json", put("files", ["../x"]), "files: '../x' is not in the run directory"),
        ("run.json", put("files", ["/etc/passwd"]), "files: '/etc/passwd' is not in the run directory"),
        ("run.json", lambda content: content["stages"].append(content["stages"][0]), "stands there twice"),
        ("run.json", put("passes", 0, "seconds", -1.0), "passes.0.seconds"),
    ],
)
def test_values_that_cannot_be(name: str, change: Change, text: str, pair: Path) -> None:
    edit(name, change)
    assert_damaged(name, text, "fix: repeat the run: perfkit run --config D/config.yaml --out NEW")


def test_an_index_of_another_run(pair: Path) -> None:
    edit("run.json", put("model", "other"))
    assert_damaged(REPORT, "model: 'wan2_1', but run.json says 'other'")
    edit("run.json", put("totals", "weight_bytes", 1))
    edit("run.json", put("model", "wan2_1"))
    assert_damaged(REPORT, "totals.weight_bytes")
    edit("run.json", lambda content: content["stages"].clear())
    edit("run.json", put("totals", None))
    assert_damaged(REPORT, "totals: run.json has none")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (put("passed", False), "passed: False, but the modules give True"),
        (put("tolerance", 0.001), "verdict: within, but the numbers make it over"),
        (put("modules", 2), "modules: 2, but the modules give 1"),
        (put("mismatched", 0), "mismatched: 0"),
        (put("max_relative_difference", 0.5), "max_relative_difference: 0.5"),
        (put("max_bytes_difference", 0.5), "max_bytes_difference: 0.5"),
        (put("layers", 0, "counted", 1), "relative_difference: 0.0, but the FLOPs differ by"),
        (put("layers", 0, "calls", 2), "verdict: within"),
        (put("layers", 0, "verdict", "equal"), "verdict: equal, but the numbers make it within"),
        (put("end_to_end", "counted", 1), "end_to_end.relative_difference: 0.0"),
        (put("end_to_end", "expected", 1), "end_to_end"),
        (put("end_to_end", "parameters_counted", 1), "max_relative_difference"),
        (put("unmatched", [{"path": "x", "side": "counted", "flops": 1}]), "unmatched: ['x']"),
        (put("model", "other"), "model: 'other', but run.json says 'wan2_1'"),
        (lambda content: content["layers"].append(content["layers"][0]), "stands there twice"),
    ],
)
def test_a_verification_that_contradicts_itself(change: Change, text: str, pair: Path) -> None:
    assert ask("report", "D")[0] == 0
    edit(VERIFY, change)
    assert_damaged(VERIFY, text, args=("report", "D"))


def test_a_verification_of_another_run(pair: Path) -> None:
    def halve(content: Any) -> None:
        whole = content["end_to_end"]
        whole["expected"] = whole["counted"] = whole["counted"] // 2

    edit(VERIFY, halve)
    assert_damaged(VERIFY, "end_to_end: other FLOPs", args=("report", "D"))


@pytest.mark.parametrize("name", ["run.json", REPORT])
@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.write_text(""), "EOF"),
        (lambda path: path.write_text("[" * 100_000), "recursion limit"),
        (lambda path: path.write_text('{"schema":' * 100_000), "recursion limit"),
        (lambda path: path.write_text('{"schema": ' + "9" * 5000 + "}"), "number out of range"),
        (lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()), "Invalid JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()), "Invalid JSON"),
        (lambda path: path.write_bytes(b"\0" * 5_000_000), "Invalid JSON"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a directory"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "it is no regular file"),
    ],
)
def test_what_is_no_record_at_all(name: str, spoil: Callable[[Path], object], text: str, pair: Path) -> None:
    spoil(Path("D", name))
    assert_damaged(name, text)


def test_an_unknown_field_may_be_of_a_newer_version(pair: Path) -> None:
    edit("run.json", lambda content: content.update(perfkit_version="7.0.0", budget=1))
    assert_damaged("run.json", "does not know: budget; perfkit 7.0.0 wrote it", "upgrade perfkit-core")
    edit("run.json", lambda content: content.pop("budget"))
    edit(REPORT, lambda content: content["modules"][2].update(joules=1))
    assert_damaged(REPORT, "does not know: modules.2.joules; perfkit 7.0.0 wrote it", "upgrade perfkit-core")
    Path("D/run.json").unlink()
    with pytest.raises(Exception, match=r"does not know: modules\.2\.joules \("):
        rundir.read_record(Path("D", REPORT), AnalyticReport)


def test_verify_refuses_to_add_to_a_damaged_run(pair: Path) -> None:
    edit(REPORT, put("totals", "flops", 12))
    assert_damaged(REPORT, args=("verify", "--model", "wan2_1", "--variant", "tiny", "--out", "D"))


def test_a_file_inside_a_run_stands_for_it_or_says_so(pair: Path) -> None:
    assert ask("hotspots", "R/run.json", "--json") == ask("hotspots", "R", "--json")
    for name in (REPORT, "analytic", "config.yaml"):
        code, _, err = ask("hotspots", f"R/{name}")
        assert code == 3
        assert f"R/{name} is part of the run R, not a run; fix: name the run: R" in err


@pytest.mark.parametrize("name", ["", ".", "..", "../../x", "a/../../x", "/tmp/x", "run.json", "./run.json", "a\0b"])
def test_a_plugin_cannot_write_outside_the_run_or_over_its_index(name: str, pair: Path) -> None:
    writer = rundir.open_run(Path("D"))
    before = Path("D/run.json").read_bytes()
    for write in (lambda: writer.write_text(name, "x"), lambda: writer.write_json(name, {})):
        with pytest.raises(UsageError, match="cannot be a file of a run"):
            write()
    assert Path("D/run.json").read_bytes() == before
    writer.write_text("./below//table.csv", "x")
    writer.update()
    assert "below/table.csv" in writer.index.files


FREE = {"kv_cache_bytes", "peak_activation_bytes", "geometry", "parameters", "calls", "passes", "files"}
"""What nothing else in the run repeats."""


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to every value."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def nested(value: Any) -> Any:
    for _ in range(150):
        value = [value]
    return value


CHANGES: dict[str, Callable[[Any, Any], None]] = {
    "delete": lambda content, key: content.pop(key),
    "text": lambda content, key: content.__setitem__(key, str(content[key])),
    "null": lambda content, key: content.__setitem__(key, None),
    "list": lambda content, key: content.__setitem__(key, [content[key]]),
    "negative": lambda content, key: content.__setitem__(key, -7),
    "other": lambda content, key: content.__setitem__(key, 7),
    "fraction": lambda content, key: content.__setitem__(key, 0.25),
    "huge": lambda content, key: content.__setitem__(key, 10**400),
    "nan": lambda content, key: content.__setitem__(key, float("nan")),
    "true": lambda content, key: content.__setitem__(key, True),
    "nest": lambda content, key: content.__setitem__(key, nested(content[key])),
    "repeat": lambda content, key: (
        content.insert(key, content[key]) if isinstance(content, list) else content.__setitem__("again", content[key])
    ),
}


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(["run.json", REPORT, VERIFY]),
    change=st.sampled_from([*CHANGES, "truncate"]),
    where=st.integers(min_value=0),
)
def test_any_damage_is_noticed_or_changes_nothing(
    name: str, change: str, where: int, pair: Path, answers: dict[tuple[str, ...], str]
) -> None:
    """Whatever happens to one value, the answer is code 5 or the same numbers as before."""
    shutil.rmtree("D")
    shutil.copytree("R", "D")
    path = Path("D", name)
    text = path.read_text()
    fields: set[Any] = set()
    if change == "truncate":
        path.write_text(text[: where % len(text)])
    else:
        content = json.loads(text)
        found = list(places(content))
        *above, field = found[where % len(found)]
        holder = content
        for key in above:
            holder = holder[key]
        CHANGES[change](holder, field)
        path.write_text(json.dumps(content))
        fields = {*above, field}
    for args in QUESTIONS:
        code, out, err = ask(*args)
        assert code in {0, 5}, (args, err)
        if code == 5:
            assert len(err.splitlines()) == 1
            assert f"D/{name}" in err or f"D/{REPORT}" in err
        elif args[0] == "hotspots" or (args[0] == "compare" and not fields & FREE):
            assert out == answers[args]
        elif args[0] == "report" and not fields & FREE and name != VERIFY:
            assert rows(out) == rows(answers[args])


def rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if "|" in line]
