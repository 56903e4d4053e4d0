"""Bad input: one line that says what is wrong, one that says what to do, the right exit code, nothing written."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from .harness import TINY, Command, Outcome

RUN = ("run", "--model", "wan2_1", "--out", "X")
LONG = "x" * 400


def contents(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*")}


def assert_refused(failed: Outcome, code: int, *texts: str) -> None:
    lines = failed.err.splitlines()
    assert failed.code == code, failed.err
    assert len(lines) == 1, failed.err
    message, _, fix = lines[0].partition("; fix: ")
    assert message.startswith("error: ")
    assert fix
    assert failed.out == ""
    for text in texts:
        assert text in failed.err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("height=0", "greater than or equal to"),
        ("height=-16", "greater than or equal to"),
        ("height=480.5", "valid integer"),
        ("height=1e3", "valid integer"),
        ("height=100", "use 96 or 112"),
        ("height=NaN", "valid integer"),
        ("height=inf", "valid integer"),
        ("height=", "valid integer"),
        ("height=" + "9" * 30, "less than or equal to"),
        ("height=" + "9" * 6000, "exceeded maximum size"),
        ("height=vier", "rows in pixels"),
        ("guidance=maybe", "guidance"),
        ("dtype=bf16", "bfloat16"),
        ("heigth=480", "did you mean 'height'"),
        ("höhe=480", "höhe"),
        ("height", "name=value"),
        ("=480", "name=value"),
        ("", "--set is empty"),
        ("ncu.preset=memory", "no backend or exporter 'ncu'"),
        ("csv.sep=x", "--exporter csv"),
        (
            "analytic.mode=x",
            "unknown parameter 'mode' of backend 'analytic'; fix: backend 'analytic' has no parameters",
        ),
    ],
)
def test_parameters(value: str, text: str, cli: Command, workplace: Path) -> None:
    assert_refused(cli(*RUN, "--set", value), 2, text)
    assert contents(workplace) == set()


def test_a_parameter_given_twice(cli: Command, workplace: Path) -> None:
    assert_refused(cli(*RUN, "--set", "height=480", "--set", "height=720"), 2, "given twice")
    assert contents(workplace) == set()


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("run", "--out", "X"), 2, "perfkit list models"),
        (("run", "--model", "", "--out", "X"), 2, "--model is empty"),
        (("run", "--model", "wan21", "--out", "X"), 2, "did you mean 'wan2_1'"),
        ((*RUN, "--variant", "t2v_14"), 2, "did you mean 't2v_14b'"),
        ((*RUN, "--workload", "p521"), 2, "did you mean 'p512'"),
        ((*RUN, "--backend", "anlytic"), 2, "did you mean 'analytic'"),
        ((*RUN, "--exporter", "cvs"), 2, "did you mean 'csv'"),
        ((*RUN, "--exporter", ""), 2, "--exporter is empty"),
        ((*RUN, "--modle", "x"), 2, "--model"),
        ((*RUN, "--devise", "cuda"), 2, "--devise"),
        ((*RUN, "stray"), 2, "stray"),
        ((*RUN, "--checkpoint", "nowhere"), 3, "nowhere"),
        ((*RUN, "--checkpoint", LONG), 3, "File name too long"),
        ((*RUN, "--config", "nowhere.yaml"), 3, "nowhere.yaml"),
        (("run", "--model", "wan2_1", "--out", ""), 2, "--out is empty"),
        (("run", "--model", "wan2_1", "--out", LONG), 2, "File name too long"),
        (("run", "--model", "wan2_1", "--out", "x\udcff"), 2, "must be UTF-8 text"),
        ((*RUN, "--checkpoint", "x\udcff"), 2, "must be UTF-8 text"),
        ((*RUN, "--model", "x\udcff"), 2, "--model"),
        (("hotspots", "x\udcff"), 2, "not UTF-8 text"),
        (("rnu",), 2, "did you mean 'run'"),
        (("hotspots",), 2, "RUN"),
        (("hotspots", "nowhere"), 3, "there is no run at nowhere"),
        (("hotspots", ""), 2, "empty"),
        (("hotspots", LONG), 3, "File name too long"),
        (("report", "nowhere"), 3, "nowhere"),
        (("export", "nowhere", "--exporter", "csv"), 3, "nowhere"),
        (("compare", "nowhere", "nowhere"), 3, "nowhere"),
        (("list", "modls"), 2, "did you mean 'models'"),
        (("verify", "--model", "wan2_1", "--tolerance", "nan"), 2, "--tolerance"),
        (("verify", "--model", "wan2_1", "--tolerance", "-1"), 2, "--tolerance"),
    ],
)
def test_names_and_paths(args: tuple[str, ...], code: int, text: str, cli: Command, workplace: Path) -> None:
    assert_refused(cli(*args), code, text)
    assert contents(workplace) == set()


def test_out_is_a_file_or_below_one_or_holds_other_things(cli: Command, workplace: Path) -> None:
    Path("file").write_text("precious")
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("precious")
    before = contents(workplace)
    assert_refused(cli("run", *TINY, "--out", "file"), 2, "is a file")
    assert_refused(cli("run", *TINY, "--out", "file/sub"), 2, "is a file")
    assert_refused(cli("run", *TINY, "--out", "full"), 2, "no run")
    Path("perfkit-runs").write_text("precious")
    assert_refused(cli("run", *TINY), 2, "perfkit-runs")
    assert contents(workplace) == before | {"perfkit-runs"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_is_not_writable(cli: Command, workplace: Path) -> None:
    Path("locked").mkdir(mode=0o500)
    assert_refused(cli("run", *TINY, "--out", "locked/R"), 2, "not writable")


def test_out_where_no_directory_can_be_made(cli: Command) -> None:
    assert_refused(cli("run", *TINY, "--out", "/proc/perfkit/R"), 2, "--out /proc/perfkit/R")


def test_a_checkpoint_without_files(cli: Command, workplace: Path) -> None:
    Path("ckpt").mkdir()
    assert_refused(cli(*RUN, "--checkpoint", "ckpt"), 3, "ckpt")
    Path("ckpt/config.json").write_text("{")
    failed = cli(*RUN, "--checkpoint", "ckpt")
    assert failed.code in {3, 5}
    assert "config.json" in failed.err
    assert not Path("X").exists()


def test_a_template_is_checked_before_the_run(cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_TEMPLATE", "reprot.md")
    assert_refused(cli(*RUN), 2, "did you mean 'report.md'")
    Path("mine.md").write_text("{% if %}")
    monkeypatch.setenv("PERFKIT_TEMPLATE", "./mine.md")
    assert_refused(cli(*RUN), 2, "mine.md, line 1")
    monkeypatch.setenv("PERFKIT_TEMPLATE", "report.md")
    monkeypatch.setenv("PERFKIT_TEMPLATE_DIR", "nowhere")
    assert_refused(cli(*RUN), 2, "nowhere")
    assert contents(workplace) == {"mine.md"}


@pytest.fixture
def made(cli: Command, workplace: Path) -> Path:
    assert cli("run", *TINY, "--out", "R").code == 0
    return Path("R")


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("hotspots", "R", "--top", "0"), 2, "--top=0"),
        (("hotspots", "R", "--top", "ten"), 2, "--top=ten"),
        (("hotspots", "R", "--by", "flop"), 2, "'flops', 'bytes' or 'time'"),
        (("hotspots", "R", "--by", "time"), 3, "measured"),
        (("compare", "R", "R", "--fail-above", "5"), 2, "write 5% or 500%"),
        (("verify", *TINY, "--tolerance", "2"), 2, "write 2% or 200%"),
        (("compare", "R", "R", "--fail-above", "five"), 2, "--fail-above=five"),
        (("compare", "R", "R", "--fail-above", "-5%"), 2, "--fail-above=-5%"),
        (("compare", "R", "R", "--fail-above", "nan%"), 2, "--fail-above=nan%"),
        (("compare", "R", "R", "--fail-above", "inf"), 2, "--fail-above=inf"),
        (("report", "R", "--format", "pdf"), 2, "pdf"),
        (("report", "R", "--template", "reprot.md"), 2, "did you mean"),
        (("report", "R", "-o", "R"), 2, "is a directory"),
        (("report", "R", "-o", "no/where.md"), 2, "there is no directory no"),
        (("export", "R"), 2, "no exporter"),
        (("export", "R", "--exporter", "cvs"), 2, "did you mean 'csv'"),
        (("export", "R", "--exporter", "csv", "--set", "sep=x"), 2, "sep"),
    ],
)
def test_questions_to_a_run(
    args: tuple[str, ...], code: int, text: str, cli: Command, made: Path, workplace: Path
) -> None:
    before = contents(workplace)
    assert_refused(cli(*args), code, text)
    assert contents(workplace) == before


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("command", [("hotspots", "D"), ("compare", "R", "D"), ("report", "D")])
def test_damaged_and_future_runs(command: tuple[str, ...], cli: Command, made: Path) -> None:
    def damaged(name: str, change: object) -> None:
        shutil.rmtree("D", ignore_errors=True)
        shutil.copytree(made, "D")
        assert callable(change)
        change(Path("D", name))
        before = contents(Path("D"))
        assert_refused(cli(*command), 5, f"D/{name}")
        assert contents(Path("D")) == before

    damaged("run.json", lambda path: path.write_text("{"))
    damaged("run.json", lambda path: path.write_text("[]"))
    damaged("run.json", lambda path: path.write_bytes(b"\xff\xfe{"))
    damaged("run.json", lambda path: edit(path, "perfkit.run/1", "perfkit.run/2"))
    damaged("run.json", lambda path: edit(path, '"status": "done"', '"status": "splendid"'))
    damaged("analytic/report.json", lambda path: path.write_bytes(path.read_bytes()[:2000]))
    damaged("analytic/report.json", lambda path: path.unlink())
    damaged("analytic/report.json", lambda path: edit(path, "perfkit.analytic/1", "perfkit.analytic/2"))
    damaged("analytic/report.json", lambda path: edit(path, '"own_flops"', '"own_flopses"'))


def test_a_future_run_says_to_upgrade(cli: Command, made: Path) -> None:
    edit(made / "run.json", "perfkit.run/1", "perfkit.run/2")
    failed = cli("hotspots", "R")
    assert "'perfkit.run/2'; this version reads 'perfkit.run/1'" in failed.err
    assert "upgrade perfkit-core" in failed.err


def test_an_index_without_report(cli: Command, made: Path) -> None:
    index = json.loads((made / "run.json").read_text())
    index["files"].remove("analytic/report.json")
    (made / "run.json").write_text(json.dumps(index))
    assert_refused(cli("hotspots", "R"), 5, "R/run.json", "files: analytic/report.json is not among them")
    (made / "run.json").write_text(json.dumps({**index, "totals": None, "stages": []}))
    assert_refused(cli("hotspots", "R"), 3, "analytic/report.json")


def test_a_fault_of_perfkit_is_one_line_with_code_6(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("perfkit_core.api.load_run", fail)
    assert_refused(cli("hotspots", "R"), 6, "RuntimeError: two lines", "--debug")


def test_a_name_of_a_disabled_plugin(shell: Command, plugin_path: Path) -> None:
    args = ("run", *TINY, "--backend", "prints", "--device", "cpu", "--out", "X")
    failed = shell(*args, path=plugin_path, PERFKIT_DISABLE="unruly")
    assert_refused(
        failed, 3, "no active plugin provides backend 'prints'; disabled: 'unruly' of perfkit-unruly", "PERFKIT_DISABLE"
    )
    misspelt = shell("run", *TINY, "--backend", "wall_clok", "--out", "X", path=plugin_path, PERFKIT_DISABLE="unruly")
    assert_refused(misspelt, 2, "did you mean 'wall_clock'")


CONTROLS = "\x1b]0;title\x07\x1b[31mred\r\x9b2J\u202eback"
SHOWN = "\\x1b]0;title\\x07\\x1b[31mred\\r\\x9b2J\\u202eback"


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_control_characters_do_not_reach_the_terminal(debug: tuple[str, ...], cli: Command, made: Path) -> None:
    edit(made / "run.json", '"version": "0.1.0"', json.dumps({"version": "0.1.0" + CONTROLS})[1:-1])
    path = Path("R" + CONTROLS.replace("/", ""))
    made.rename(path)
    said = [
        cli("hotspots", str(path), "--top", "1"),
        cli("hotspots", str(path), *debug, "--top", "0"),
        cli("report", str(path)),
        cli("hotspots", CONTROLS, *debug),
        cli("run", "--model", CONTROLS),
        cli("compare", str(path), str(path)),
    ]
    for outcome in said:
        assert not set(outcome.out + outcome.err) & set("\x1b\x07\r\x9b\u202e")
    assert f"own flops of R{SHOWN}" in said[0].out
    assert f"there is no run at {SHOWN}".replace("\\r", " ") in said[3].err


def test_control_characters_in_tables_and_logs(cli: Command, capsys: pytest.CaptureFixture[str]) -> None:
    from perfkit_core.cli.output import emit, emit_table, log_to_stderr

    emit_table(("a", "b"), [(CONTROLS, "1")])
    emit("one\ttwo\nthree")
    log_to_stderr(debug=False)
    logging.getLogger("perfkit").warning("%s", CONTROLS)
    found = capsys.readouterr()
    assert SHOWN in found.out
    assert "one\ttwo\nthree\n" in found.out
    assert found.err == f"perfkit: {SHOWN}\n"


def test_settings_files_beyond_what_python_reads(cli: Command, workplace: Path) -> None:
    deep = Path("deep.yaml")
    deep.write_text("[" * 100_000)
    assert_refused(cli("run", "--config", "deep.yaml"), 2, "deep.yaml")
    deep.write_text("repeats: " + "9" * 5000)
    assert_refused(cli("run", "--config", "deep.yaml"), 2, "deep.yaml")
    deep.write_text("repeats: 2001-99-99")
    assert_refused(cli("run", "--config", "deep.yaml"), 2, "deep.yaml")
    Path("perfkit.toml").write_text("repeats = " + "9" * 5000)
    assert_refused(cli(*RUN), 2, "perfkit.toml")
    Path("perfkit.toml").write_text("a = " + "[" * 100_000)
    assert_refused(cli(*RUN), 2, "perfkit.toml")
