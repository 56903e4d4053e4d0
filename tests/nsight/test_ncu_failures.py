"""An ncu that is missing or cannot be used, and one that measured nothing or not all: what the commands make of it.

Where ncu runs here, ``STAND_IN`` stands in its place: it starts the program, writes the words that the real tool was
heard to say and, where it had one, a real report, and exits as the real one did. It shows what perfkit does then, and
nothing about ncu; the GPU is stood in for too. What ncu really does is shown by the runs below ``docs/results``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from perfkit_nsight import ncu_tool
from perfkit_nsight.ncu_options import NcuOptions
from perfkit_nsight.ncu_tool import find_ncu

from perfkit_core import machine
from perfkit_core.backend import Gpu
from perfkit_core.cli import perfkit
from perfkit_core.options import build_options

RESULTS = Path(__file__).parents[2] / "docs/results"
OLD, SAID = RESULTS / "2026-11-21-cpu-ncu-2022.3", RESULTS / "2026-11-21-h200-ncu/messages"
REPORT = RESULTS / "2026-11-21-h200-ncu/three_ranges_kernel/passes/02-ncu/counters.ncu-rep"
RANGES = Path(__file__).parent / "data/h200-ncu/range.ncu-rep"

VERSION = (OLD / "version.txt").read_text(encoding="utf-8").partition("exit status")[0]
DENIED = (
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters on the "
    "target device 0.\nexit status 1\n"
)  # its first sentence in words.txt, and in public reports with exit status 1
DRIVER = (
    "==ERROR== An error was reported by the driver:\n==ERROR== Cuda driver is not compatible with Nsight Compute.\n"
    "==ERROR== The application returned an error code (11).\nexit status 11\n"
)  # an issue of meta-pytorch/tritonbench

GAVE_UP = '==ERROR== LaunchFailed\n==ERROR== Failed to profile "k" in process 1\nexit status 9'
"""Put together from public reports of kernels that cannot be replayed."""

STAND_IN = """#!{python}
import json, re, shutil, subprocess, sys
from pathlib import Path
given = sys.argv[1:]
plan = json.loads(Path(__file__).with_suffix(".json").read_text())
if given == ["--version"]:
    print(plan["version"])
elif given == ["--query-metrics"]:
    print("gpu__time_duration  counter  ns")
else:
    start = given.index(sys.executable)
    named = dict(zip(given, given[1:]))
    named.update(re.fullmatch(r"(--[^=]+)=(.*)", one, re.DOTALL).groups() for one in given[:start] if "=" in one)
    trial = given[start + 1].endswith("probe.py")
    case = plan.get("trial" if trial else named["--replay-mode"], plan["else"])
    if not trial and not case["early"]:
        subprocess.run(given[start:])
    Path(named["--log-file"]).write_text(case["words"])
    if case["report"]:
        shutil.copy(case["report"], named["--export"])
    sys.exit(case["status"])
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with no settings from the machine that runs the tests."""
    for name in [name for name in os.environ if name.startswith("PERFKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli(work: Path) -> Callable[..., Outcome]:
    def run(*words: str) -> Outcome:
        made = CliRunner().invoke(perfkit, list(words), prog_name="perfkit")
        return Outcome(made.exit_code, made.stdout, made.stderr)

    return run


PLAIN_MODEL = ("run", "--model", "three_ranges", "--backend", "ncu", "--out", "R")
PLAIN_PROGRAM = ("exec", "--backend", "ncu", "--out", "R")
MODEL, PROGRAM = (*PLAIN_MODEL, "--set", "ncu.find=none"), (*PLAIN_PROGRAM, "--set", "find=none")
HELLO = ("--", sys.executable, "-c", "print('hello')")


def _script(path: Path, says: str, status: int = 0, mode: int = 0o755) -> Path:
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n")
    path.chmod(mode)
    return path


NEW = VERSION.replace("2022.3.0", "2025.3.1")
NO_GPU = "ncu reads the counters of a GPU, and torch can use none here: nvidia-smi must show one"


@pytest.mark.parametrize(
    ("case", "said", "way_out"),
    [
        ("nowhere", "ncu is not on this machine", "install Nsight Compute (it comes with the CUDA toolkit) or name it"),
        ("absent", "PERFKIT_NCU={tool} is no file", "fix: unset PERFKIT_NCU or name the ncu executable"),
        ("directory", "PERFKIT_NCU={tool} is a directory", "fix: unset PERFKIT_NCU or name the ncu executable"),
        ("forbidden", "{tool}: it has no permission to be executed", "chmod +x {tool}"),
        ("other", "{tool}: it does not tell its version: hello", "name another with PERFKIT_NCU"),
        ("wrapper", "{tool}: it does not tell its version: ERROR : nsight-compute directory", "name another with"),
        ("old", "{tool}: version 2022.3.0.0 is older than 2023.1", "install a newer one or name it with PERFKIT_NCU"),
        ("no_gpu", NO_GPU, "perfkit import reads reports that were made elsewhere"),
    ],
)
def test_an_ncu_that_cannot_be_used_is_told_before_anything_runs(
    cli: Callable[..., Outcome], work: Path, monkeypatch: pytest.MonkeyPatch, case: str, said: str, way_out: str
) -> None:
    """The old one's answer to ``--version`` is a real one's; that of the new one is the same with another number.

    Root may read a file that nobody may, but not execute it.
    """
    monkeypatch.setattr(machine, "gpus", lambda environ: ())
    tool = work.parent / case
    if case == "directory":
        tool.mkdir()
    elif case == "wrapper":  # of the CUDA toolkit, where Nsight Compute itself is missing: reported of NixOS
        _script(tool, "ERROR : nsight-compute directory is not found under /usr/local/cuda/bin/../ or /opt/nvidia.", 1)
    elif case != "absent":
        says = {"other": "hello", "old": VERSION}.get(case, NEW)
        _script(tool, says, mode=0o644 if case == "forbidden" else 0o755)
    if case == "nowhere":
        monkeypatch.setenv("PATH", str(work.parent / "empty"))
        if find_ncu(os.environ):
            pytest.skip("ncu is installed here where it is always found")
    else:
        monkeypatch.setenv("PERFKIT_NCU", str(tool))
    for made in (cli(*MODEL), cli(*PROGRAM, *HELLO)):
        assert made.code == 3
        assert said.format(tool=tool) in made.err
        assert way_out.format(tool=tool) in made.err
        assert "fix: " in made.err
        assert made.out == ""
    assert list(work.iterdir()) == []
    (ncu,) = [one for one in json.loads(cli("doctor", "--json").out)["backends"] if one["name"] == "ncu"]
    assert said.format(tool=tool) in ncu["problems"][0]
    assert way_out.removeprefix("fix: ").format(tool=tool) in ncu["problems"][0]


def test_the_ways_out_lead_on(cli: Callable[..., Outcome], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As told: from a wrong name to the file, to one that may be executed, to a newer one, to the missing GPU."""
    monkeypatch.setattr(machine, "gpus", lambda environ: ())
    monkeypatch.setenv("PERFKIT_NCU", str(work / "absent"))
    assert "is no file; fix: unset PERFKIT_NCU or name the ncu executable" in cli(*MODEL).err
    tool = _script(work.parent / "my ncu", VERSION, mode=0o644)
    monkeypatch.setenv("PERFKIT_NCU", str(tool))
    found = re.search(r"chmod \+x '.*?'", cli(*MODEL).err)
    assert found
    subprocess.run(shlex.split(found[0]), check=True)
    assert "older than 2023.1: install a newer one" in cli(*MODEL).err
    _script(tool, NEW)
    assert NO_GPU in cli(*MODEL).err
    assert (
        "no CUDA device is visible here; fix: --device cpu, or check nvidia-smi" in cli(*MODEL, "--device", "cuda").err
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("preset=half", "'roofline', 'memory', 'occupancy' or 'full'"),
        ("replay=never", "'auto', 'kernel', 'application', 'range' or 'app-range'"),
        ("find=me", "'auto', 'nsys', 'torch' or 'none'"),
        ("clock_control=up", "'none' or 'base'"),
        ("cache_control=some", "'none' or 'all'"),
        ("coverage=0", "greater than 0"),
        ("coverage=1.01", "less than or equal to 1"),
        ("coverage=most", "a valid number"),
        ("steps=0", "greater than or equal to 1"),
        ("include=(", "'(' is no regular expression: missing ), unterminated subpattern"),
        ("exclude=gemm,[", "'[' is no regular expression: unterminated character set"),
        ("sections=,", "it names nothing; leave it out, or separate names by commas"),
        ("metrics= ,", "it names nothing; leave it out, or separate names by commas"),
        ("region=A@B", "a region is a path such as denoise/step, without @"),
        ("region=/", "a region is a path such as denoise/step"),
        ("metric=x", "did you mean 'metrics'?"),
    ],
)
def test_values_that_are_not_accepted_are_usage_errors(
    cli: Callable[..., Outcome], work: Path, value: str, said: str
) -> None:
    for made in (cli(*PLAIN_MODEL, "--set", f"ncu.{value}"), cli(*PLAIN_PROGRAM, "--set", value, *HELLO)):
        assert made.code == 2
        assert said in made.err
        assert "fix: " in made.err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("replay", ["auto", "range", "app-range"])
@pytest.mark.parametrize(
    ("name", "value"), [("include", "X"), ("exclude", "X"), ("sections", "X"), ("coverage", "0.5")]
)
def test_what_is_about_single_kernels_is_refused_for_whole_regions(
    cli: Callable[..., Outcome], work: Path, name: str, value: str, replay: str
) -> None:
    made = cli(*MODEL, "--set", f"ncu.replay={replay}", "--set", f"ncu.{name}={value}")
    assert made.code == 2
    assert f"{name} is about single kernels, and replay={replay} measures regions as a whole" in made.err
    assert "set replay=kernel or application" in made.err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("replay", ["auto", "kernel", "application", "range", "app-range"])
def test_a_worker_accepts_what_the_command_line_did(replay: str) -> None:
    """A worker is handed every option in its plan, those that nobody set too."""
    options = NcuOptions.model_validate({"replay": replay})
    assert build_options(NcuOptions, options.model_dump(mode="json"), owner="backend 'ncu'") == options


def _case(words: str = "exit status 0", report: Path | None = None, *, early: bool = False) -> dict[str, Any]:
    """What the stand-in does: words with the status at their end, as they were recorded."""
    said, _, status = words.rstrip().rpartition("exit status ")
    return {"words": said, "status": int(status), "report": str(report) if report else "", "early": early}


def _heard(name: str, where: Path = SAID) -> str:
    return (where / f"{name}.txt").read_text(encoding="utf-8")


@pytest.fixture
def install(work: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put the stand-in in ncu's place on a machine with a GPU; a trial that goes well comes first unless given."""
    monkeypatch.setattr(machine, "gpus", lambda environ: (Gpu(index=0, name="NVIDIA H200"),))
    monkeypatch.setattr(machine, "torch_cuda", lambda: "13.0")
    tool = work.parent / "ncu"
    tool.write_text(STAND_IN.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setenv("PERFKIT_NCU", str(tool))

    def plan(**cases: dict[str, Any]) -> None:
        known = {"trial": _case(report=REPORT), "else": _case(), "version": NEW, **cases}
        tool.with_suffix(".json").write_text(json.dumps(known))

    return plan


def _index(work: Path) -> Any:
    return json.loads((work / "R/run.json").read_text())


TRIALS = [
    (_heard("counters_held"), 3, "the counters are held by another tool", "dcgmi profile --pause"),
    (DENIED, 3, "ncu may not read this GPU's counters", "CAP_SYS_ADMIN"),
    (DRIVER, 3, "this ncu and the driver or GPU do not fit", "install one that fits and name it with PERFKIT_NCU"),
    (_heard("other_injection").partition("[1/1]")[0] + "exit status 1", 3, "another profiler is loaded", "unset CUDA"),
    (_heard("unknown_section"), 2, "ncu does not know one of the sections", "ncu --list-sections"),
    (_heard("no_driver", OLD), 3, "ncu finds no NVIDIA driver to load", "nvidia-smi shows whether there is one"),
    (_heard("no_gpu", OLD), 4, "cuInit on device 0 ended with CUDA error 100", "try it by hand: "),
    (_heard("no_kernel", OLD), 4, "failed on an empty kernel, with exit status 0: No kernels were", "try it by hand: "),
]


@pytest.mark.parametrize(
    ("words", "code", "said", "way_out"),
    TRIALS,
    ids=["held", "denied", "driver", "injection", "section", "no_driver", "no_gpu", "no_kernel"],
)
def test_what_would_spoil_a_run_is_told_before_the_program_runs(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path,
    words: str, code: int, said: str, way_out: str,
) -> None:  # fmt: skip
    install(trial=_case(words))
    made = cli(*PROGRAM, "--", sys.executable, "-c", "open('ran', 'w')")
    assert made.code == code
    assert said in made.err
    index = _index(work)
    assert (index["status"], index["exit_code"]) == ("failed", code)
    (done,) = index["passes"]
    assert (done["status"], done["exit_code"], done["directory"]) == ("failed", code, "")
    assert said in done["error"]
    assert way_out in done["error"]
    assert not (work / "R/ncu").exists()
    assert not (work / "R/regions.json").exists()
    assert not (work / "ran").exists()


def test_so_it_is_for_a_model(cli: Callable[..., Outcome], install: Callable[..., None], work: Path) -> None:
    install(trial=_case(DENIED))
    made = cli(*MODEL)
    assert made.code == 3
    assert "ncu may not read this GPU's counters" in made.err
    index = _index(work)
    assert (index["status"], index["exit_code"]) == ("partial", 3)  # the analytic part is there
    assert "CAP_SYS_ADMIN" in index["error"]
    assert not (work / "R/passes").exists()
    assert not (work / "R/ncu").exists()


def test_a_trial_that_does_not_end_is_ended_with_all_that_it_started(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ncu of one user wait for each other."""
    monkeypatch.setattr(ncu_tool, "_SECONDS", 1.5)
    install()
    tool = Path(os.environ["PERFKIT_NCU"])
    waits = f"import subprocess, sys\nif '--export' in sys.argv:\n    subprocess.run(['sleep', '{WAIT}'])\n"
    tool.write_text(tool.read_text().replace("import json", f"{waits}import json", 1))
    made = cli(*PROGRAM, *HELLO)
    assert made.code == 4
    assert "ncu did not measure an empty kernel within 1.5 s" in made.err
    assert "another profiler may hold the GPU" in _index(work)["error"]
    time.sleep(0.2)
    assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if _reads(one) == f"sleep\0{WAIT}\0"]


WAIT = f"60.{os.getpid()}"


def _reads(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def test_the_trial_by_hand_is_the_trial(cli: Callable[..., Outcome], install: Callable[..., None], work: Path) -> None:
    install(trial=_case(_heard("no_gpu", OLD)))
    cli(*PROGRAM, *HELLO)
    found = re.search(r"try it by hand: (.*?)\)*$", _index(work)["passes"][0]["error"])
    assert found
    tool, python, probe, device = shlex.split(found[1])
    assert (tool, python, device) == (os.environ["PERFKIT_NCU"], sys.executable, "0")
    assert Path(probe).name == "probe.py"
    assert Path(probe).is_file()


def test_a_metric_that_the_gpu_does_not_have_is_refused_though_ncu_succeeds(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """ncu leaves it out without a word: the report is real, and has other metrics."""
    install(trial=_case(_heard("unknown_metric"), REPORT))
    made = cli(*PROGRAM, "--set", "metrics=gpu__time_durations.sum", *HELLO)
    assert made.code == 2
    assert "this GPU has no metric 'gpu__time_durations.sum'" in made.err
    assert "did you mean 'gpu__time_duration'?" in _index(work)["error"]
    assert not (work / "R/ncu").exists()


def test_a_metric_that_was_lost_after_the_trial_fails_and_the_others_stay(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install(kernel=_case(_heard("unknown_metric"), Path(__file__).parent / "data/h200-ncu/add.ncu-rep"))
    made = cli(*PROGRAM, "--set", "metrics=sm__ops_path_tensor_src_fp64.sum", *HELLO)
    assert made.code == 4
    assert "ncu collected no value of 'sm__ops_path_tensor_src_fp64.sum'" in made.err
    assert "passes/00-ncu/counters.ncu-rep" in _index(work)["files"]


PASSES = [
    ("no_kernel", (), 4, "ncu profiled no kernel", "--backend nsys"),
    ("no_kernel_of_that_name", (), 4, "no kernel has one of the names", "ncu.include"),
    ("no_such_range", ("region=nosuch",), 4, "no kernel ran inside the region", "--set ncu.region=PATH"),
    ("range_refused", ("replay=range",), 4, "range replay was refused", "--set ncu.replay=app-range"),
    ("range_with_start_off", ("replay=range",), 4, "range replay was refused", "--set ncu.replay=app-range"),
    ("report_not_writable", (), 3, "ncu could not write its report", "choose another --out"),
    ("counters_held", (), 3, "the counters are held by another tool", "dcgmi profile --resume"),
]


@pytest.mark.parametrize(("name", "options", "code", "said", "way_out"), PASSES, ids=[one[0] for one in PASSES])
def test_a_pass_that_measured_nothing_is_no_success(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path,
    name: str, options: tuple[str, ...], code: int, said: str, way_out: str,
) -> None:  # fmt: skip
    install(**{"else": _case(_heard(name))})
    made = cli(*PROGRAM, *(word for one in options for word in ("--set", one)), *HELLO)
    assert made.code == code
    assert said in made.err
    index = _index(work)
    assert (index["status"], index["exit_code"]) == ("failed", code)
    (done,) = index["passes"]
    assert said in done["error"]
    assert way_out in done["error"]
    assert (work / "R/passes/00-ncu/ncu.txt").read_text() == _heard(name).rpartition("exit status")[0]
    assert not (work / "R/regions.json").exists()
    assert not (work / "R/ncu").exists()


@pytest.mark.parametrize("replay", ["kernel", "range"])
def test_the_same_in_a_run_of_a_model(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path, replay: str
) -> None:
    """ncu ends the worker before it says anything itself."""
    words, code = (_heard("counters_held"), 3) if replay == "kernel" else (_heard("range_refused"), 4)
    install(**{"else": _case(words, early=True)})
    made = cli(*MODEL, "--set", f"ncu.replay={replay}")
    assert made.code == code
    assert ("held by another tool" if replay == "kernel" else "Unsupported API during capture (cuInit)") in made.err
    index = _index(work)
    assert (index["status"], index["exit_code"]) == ("partial", code)  # the analytic part is there
    assert not (work / "R/ncu").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (_heard("child_crashed"), 4, "ended with exit status 11"),
        (_heard("child_failed"), 4, "ended with exit status 7"),
        (_heard("counters_held"), 3, "held by another tool"),
        (GAVE_UP, 4, "gave up at a kernel"),
    ],
    ids=["crashed", "failed", "held half way", "gave up half way"],
)  # fmt: skip
def test_what_was_measured_before_the_end_is_kept(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path, words: str, code: int, said: str
) -> None:
    install(kernel=_case(words, REPORT))
    made = cli(*PROGRAM, "--", *_ends_with(int(words.rpartition(" ")[2])))
    assert made.code == code
    assert said in made.err
    assert "fix: what was recorded is kept in R" in made.err
    index = _index(work)
    assert (index["status"], index["exit_code"]) == ("partial", code)
    regions = json.loads((work / "R/ncu/regions/report.json").read_text())["regions"]
    assert {"A", "A/A1", "B"} <= {row["path"] for row in regions}
    assert (work / "R/regions.json").is_file()


def _ends_with(status: int) -> tuple[str, ...]:
    return (sys.executable, "-c", f"raise SystemExit({status})")


def test_a_program_that_died_before_its_first_kernel_is_what_failed(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """ncu adds that no kernel was profiled, which is no news."""
    install(kernel=_case(_heard("crashed_early", OLD)))
    made = cli(*PROGRAM, "--", *_ends_with(6))
    assert made.code == 4
    assert "ended with exit status 6" in made.err
    assert "profiled no kernel" not in made.err
    assert not (work / "R/ncu").exists()


def test_a_report_without_results_is_told_as_what_ncu_says(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    empty = work.parent / "empty.ncu-rep"
    empty.write_bytes(REPORT.read_bytes()[:4])
    install(kernel=_case(_heard("no_kernel"), empty))
    made = cli(*PROGRAM, *HELLO)
    assert made.code == 4
    assert "ncu profiled no kernel" in made.err


def test_processes_that_a_program_starts_are_measured_too(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """An old ncu leaves them out unless told, and warns at the most: its real words are those of ``no_kernel``."""
    assert "requires the --target-processes all option" in _heard("no_kernel", OLD)
    install(kernel=_case(report=REPORT))
    assert cli(*PROGRAM, *HELLO).code == 0
    assert " --target-processes=all " in (work / "R/passes/00-ncu/command.txt").read_text()


def test_no_word_and_no_report_is_no_success(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install()
    made = cli(*PROGRAM, *HELLO)
    assert made.code == 4
    assert "ncu ended without a report, and does not say why" in made.err
    assert "R/passes/00-ncu" in _index(work)["passes"][0]["error"]


def test_an_option_that_an_old_ncu_does_not_know_is_told_as_its_age(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """It says so on its error stream, before it opens its log."""
    install()
    tool = Path(os.environ["PERFKIT_NCU"])
    refuses = f'if "--nvtx" in sys.argv:\n    sys.exit("""{_heard("unknown_value", OLD).partition("exit")[0]}""")\n'
    tool.write_text(tool.read_text().replace("given = ", f"{refuses}given = "))
    made = cli(*PROGRAM, "--set", "replay=app-range", *HELLO)
    assert made.code == 3
    assert "this ncu is too old: it does not know an option that is used here" in made.err
    assert "the argument for option '--replay-mode' is invalid" in made.err


def test_auto_goes_on_where_range_replay_is_refused_and_says_so(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install(range=_case(_heard("range_refused")), **{"app-range": _case(report=RANGES)})
    made = cli(*PROGRAM, "--set", "replay=auto", "--set", "metrics=gpu__time_duration.sum", *HELLO)
    assert made.code == 0
    first, second = _index(work)["passes"]
    (note,) = [one for one in first["notes"] if "Range replay was tried first" in one]
    assert "Unsupported API during capture (cuInit)" in note
    (why,) = [one for one in second["notes"] if one.startswith("Replay: app-range, which auto turns to")]
    assert "Unsupported API during capture (cuInit)" in why
    assert "Measured by Nsight Compute 2025.3.1.0" in second["notes"]
    assert json.loads((work / "R/ncu/regions/report.json").read_text())["replay"] == "app-range"
    page = (work / "R/ncu/regions/report.md").read_text()
    assert "replay app-range: the whole program was run as often" in page
    assert f"- {why}" in page


def test_auto_fails_where_app_range_fails_too(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install(range=_case(_heard("range_refused")), **{"app-range": _case(_heard("no_such_range"))})
    made = cli(*PROGRAM, "--set", "replay=auto", *HELLO)
    assert made.code == 4
    assert "no kernel ran inside the region" in made.err
    first, second = _index(work)["passes"]
    assert (first["error"], second["status"]) == ("", "failed")


def test_names_without_a_pass_that_finds_kernels_are_refused(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """ncu would measure every kernel: it is given no name."""
    install(kernel=_case(report=REPORT))
    made = cli(*PROGRAM, "--set", "include=gemm", *HELLO)
    assert made.code == 2
    assert "choose among kernels that a first pass finds" in made.err
    assert not (work / "R/ncu").exists()


@pytest.mark.parametrize(
    ("value", "said", "way_out"),
    [
        ("torch", "torch.profiler works inside perfkit's own worker", "--set ncu.find=nsys, or none"),
        ("nsys", "nsys cannot find the kernels: ", "--set ncu.find=torch"),
    ],
)
def test_a_way_to_find_kernels_that_is_not_there_is_refused(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path, monkeypatch: pytest.MonkeyPatch,
    value: str, said: str, way_out: str,
) -> None:  # fmt: skip
    install(kernel=_case(report=REPORT))
    monkeypatch.setenv("PERFKIT_NSYS", str(_script(work.parent / "nsys", "hello")))
    made = cli(*PLAIN_PROGRAM, "--set", f"find={value}", *HELLO)
    assert made.code == 3
    assert said in made.err
    assert way_out in _index(work)["error"]
    assert not (work / "R/ncu").exists()


def test_a_second_run_with_the_fault_gone_succeeds(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install(trial=_case(_heard("counters_held")))
    assert cli(*PROGRAM, *HELLO).code == 3
    shutil.rmtree(work / "R")
    install(kernel=_case(report=REPORT))
    made = cli(*PROGRAM, *HELLO)
    assert made.code == 0, made.err
    assert _index(work)["status"] == "done"


FINDER = """#!{python}
import shutil, subprocess, sys
given = sys.argv[1:]
named = dict(one.partition("=")[::2] for one in given)
if given == ["--version"]:
    print("NVIDIA Nsight Systems version 2025.3.1.90-253135822126v0")
elif given[0] == "profile":
    assert named["--cuda-graph-trace"] == "node", given
    status = subprocess.run(given[given.index("env"):]).returncode
    open(named["--output"] + ".nsys-rep", "w").write("recorded")
    sys.exit(status)
elif given[0] == "export":
    shutil.copy("{capture}", named["--output"])
"""
CAPTURE = REPORT.parents[1] / "01-nsys/capture.sqlite"


@pytest.fixture
def finder(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in in nsys's place, which has recorded what the real one did on the run that ``REPORT`` is of."""
    tool = work.parent / "nsys"
    tool.write_text(FINDER.format(python=sys.executable, capture=CAPTURE))
    tool.chmod(0o755)
    monkeypatch.setenv("PERFKIT_NSYS", str(tool))


@pytest.mark.usefixtures("finder")
def test_a_program_is_measured_in_two_passes_that_give_it_the_same_environment(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(kernel=_case(report=REPORT))
    monkeypatch.setenv("MY_TOKEN", "set by me")
    program = ("--", sys.executable, "-c", "import os; print(os.environ.get('MY_TOKEN'))")
    made = cli(*PLAIN_PROGRAM, "--set", "keep_env=MY_TOKEN", *program)
    assert made.code == 0, made.err
    assert [(work / f"R/passes/{name}/stdout.txt").read_text() for name in ("00-nsys", "01-ncu")] == ["set by me\n"] * 2
    _, measured = _index(work)["passes"]
    notes = [re.sub(r"about \d+ s", "about N s", note) for note in measured["notes"]]
    assert [note for note in notes if not note.startswith("This GPU has no")] == [
        "Measured by Nsight Compute 2025.3.1.0",
        "Replay: kernel, as asked for",
        "Announced: ncu: 5 launches x 16 passes = 80, 95.2% of the kernel time, about N s",
        "Measured: 5 launches, 80 passes in all",
        "Counters stand for 95.2 % of the kernel time; planned were 95.2 %",
    ]


@pytest.mark.usefixtures("finder")
def test_what_was_planned_and_has_no_counters_is_told(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    install(kernel=_case(report=REPORT))
    made = cli(*PLAIN_PROGRAM, "--set", "coverage=1", *HELLO)
    assert made.code == 0, made.err
    (note,) = [one for one in _index(work)["passes"][1]["notes"] if one.startswith("Counters stand for")]
    assert note == (
        "Counters stand for 95.2 % of the kernel time; planned were 100.0 %; the longest kernels without: "
        "vectorized_elementwise: neg (bf16) in no region"
    )


@pytest.mark.usefixtures("finder")
def test_the_time_limit_holds_for_finding_and_measuring_together(
    cli: Callable[..., Outcome], install: Callable[..., None], work: Path
) -> None:
    """Every pass repeats the program in this mode, and there is no time for 16 of them."""
    install(application=_case(report=REPORT))
    words = ("--set", "replay=application", "--max-minutes", "0.2", "--", sys.executable, "-c")
    made = cli(*PLAIN_PROGRAM, *words, "import time; time.sleep(1)")
    assert made.code == 4
    found, refused = _index(work)["passes"]
    assert (found["status"], refused["status"], refused["directory"]) == ("done", "failed", "")
    assert re.search(r"measuring takes \d+ s at least, and \d+ s of the time limit are left", made.err)
    assert "a larger --max-minutes" in made.err
