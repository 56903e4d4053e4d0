"""What the real ncu says becomes an error that says what failed and what to do.

Its words were recorded on an H200 and, of an old ncu, on a machine without a GPU; what could not be provoked on either
is taken from the old one's executables, and what only newer ones say from public reports: ``ELSEWHERE``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from perfkit_nsight.ncu_messages import fault_of, words_of

from perfkit_core.errors import MissingError, PerfkitError, ToolError, UsageError

RESULTS = Path(__file__).parents[2] / "docs/results"
SAID, OLD = RESULTS / "2026-11-21-h200-ncu/messages", RESULTS / "2026-11-21-cpu-ncu-2022.3"
WORDS = (OLD / "words.txt").read_text(encoding="utf-8").splitlines()

UNFIT, COUNTERS, SETUP = "do not fit", "may not read this GPU's counters", "could not set its counters up"
ELSEWHERE = {
    # an issue of meta-pytorch/tritonbench, a driver older than the tool
    "==ERROR== Cuda driver is not compatible with Nsight Compute.": (MissingError, UNFIT),
    "==WARNING== Failed to load Nsight Compute CUDA modules.": (MissingError, UNFIT),
    # reports from containers and WSL whose driver's CUDA is another than the tool's
    "==ERROR== Failed to initialize the profiler: LibraryNotLoaded. Check that a compatible driver library is loaded.":
        (MissingError, UNFIT),
    # an issue of intel/llvm on an H100; 2026.1 writes it in lower case
    "==ERROR== Failed to prepare kernel for profiling\n==ERROR== Unknown Error on device 0.": (ToolError, SETUP),
    "==ERROR== Unknown error on device 0.": (ToolError, SETUP),
    # a metric of a group that the GPU does not have
    "==ERROR== Failed to access the following 8 metrics: nvlrx__bytes.sum, nvltx__bytes.sum": (UsageError, "metrics"),
    # a kernel whose memory does not fit beside its copy
    '==ERROR== Unhandled C++ exception: bad allocation\n==ERROR== Failed to profile "k" in process 1':
        (ToolError, "no memory left"),
    # a kernel that cannot be replayed, with nothing more said
    '==ERROR== LaunchFailed\n==ERROR== Failed to profile "k" in process 1': (ToolError, "gave up at a kernel"),
}  # fmt: skip


def _said(name: str, where: Path = SAID) -> str:
    return (where / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "measured", "kind", "message", "fix"),
    [
        ("no_kernel_of_that_name", False, ToolError, "no kernel has one of the names", "ncu.include"),
        ("no_such_range", False, ToolError, "no kernel ran inside the region", "ncu.region"),
        ("no_kernel", False, ToolError, "profiled no kernel", "--backend nsys"),
        ("unknown_section", False, UsageError, "one of the sections", "ncu --list-sections"),
        ("counters_held", False, MissingError, "held by another tool", "dcgmi profile --pause"),
        ("counters_held", True, MissingError, "held by another tool", "dcgmi profile --pause"),
        ("other_injection", False, MissingError, "another profiler is loaded", "CUDA_INJECTION64_PATH"),
        ("report_not_writable", False, MissingError, "could not write its report", "--out"),
        ("range_refused", False, ToolError, "range replay was refused", "app-range"),
        ("range_with_start_off", False, ToolError, "range replay was refused", "app-range"),
    ],
)
def test_words_become_errors(name: str, measured: bool, kind: type[PerfkitError], message: str, fix: str) -> None:
    fault = fault_of(_said(name), measured=measured)
    assert isinstance(fault, kind)
    assert message in fault.message
    assert fix in fault.fix


def test_its_own_words_are_in_the_message() -> None:
    fault = fault_of(_said("range_refused"), measured=False)
    assert fault is not None
    assert "Unsupported API during capture (cuInit)" in fault.message


def test_its_words_are_whole_or_end_at_a_word_with_a_mark() -> None:
    """Neither an address nor a word is cut in two."""
    fault = fault_of(_said("counters_held"), measured=False)
    assert fault is not None
    (line,) = [one for one in _said("counters_held").splitlines() if "driver resource was unavailable" in one]
    assert line.removeprefix("==ERROR== ") in fault.message
    long = fault_of(f"==ERROR== driver resource was unavailable {'abcdefg ' * 90}\nexit status 9", measured=False)
    assert long is not None
    assert long.message.endswith(" abcdefg ...")


@pytest.mark.parametrize("name", ["child_crashed", "child_failed", "unknown_metric"])
def test_a_program_that_fails_is_no_fault_of_ncu(name: str) -> None:
    """The program's own exit status is what counts; a metric left out silently is found in the report alone."""
    assert fault_of(_said(name), measured=True) is None


def test_warnings_of_a_good_run_are_no_fault() -> None:
    assert fault_of(_said("child_failed").replace("==ERROR==", "==PROF=="), measured=True) is None


@pytest.mark.parametrize(
    ("name", "kind", "message", "fix"),
    [
        ("no_driver", MissingError, "no NVIDIA driver", "nvidia-smi"),
        ("no_kernel", ToolError, "profiled no kernel", "--backend nsys"),
        ("unknown_section", UsageError, "one of the sections", "ncu --list-sections"),
        ("unknown_option", MissingError, "too old: it does not know an option", "PERFKIT_NCU"),
        ("unknown_value", MissingError, "too old: it does not know an option", "PERFKIT_NCU"),
    ],
)
def test_words_of_an_old_ncu_become_errors(name: str, kind: type[PerfkitError], message: str, fix: str) -> None:
    fault = fault_of(words_of(_said(name, OLD)), measured=False)
    assert isinstance(fault, kind)
    assert message in fault.message
    assert fix in fault.fix


@pytest.mark.parametrize("name", ["crashed_early", "no_gpu"])
def test_a_program_that_died_before_its_first_kernel_is_not_told_that_it_ran_none(name: str) -> None:
    assert "No kernels were profiled" in _said(name, OLD)
    assert fault_of(_said(name, OLD), measured=False) is None


@pytest.mark.parametrize(
    ("words", "kind", "message", "fix"),
    [
        ("on the target device %u. For", MissingError, COUNTERS, "CAP_SYS_ADMIN"),
        ("on the target device. For instr", MissingError, COUNTERS, "NVreg_RestrictProfilingToAdminUsers=0"),
        ("on the target vGPU device %u", MissingError, "this virtual GPU", "enable_profiling=1"),
        ("driver resource was unavailable", MissingError, "held by another tool", "dcgmi profile --pause"),
        ("Another tool/injection", MissingError, "another profiler is loaded", "CUDA_INJECTION64_PATH"),
        ("Insufficient driver version to profile on device %u", MissingError, UNFIT, "PERFKIT_NCU"),
        ("Insufficient driver version to profile on the device", MissingError, UNFIT, "nvidia-smi"),
        ("on device %u. To find out supported GPUs", MissingError, UNFIT, "ncu --list-chips"),
        ("on this device. To find out supported", MissingError, UNFIT, "ncu --list-chips"),
        ("as it uses the Windows Subsystem for Linux", MissingError, UNFIT, "PERFKIT_NCU"),
        ("CMP) of the target", MissingError, UNFIT, "PERFKIT_NCU"),
        ("Driver could not be loaded", MissingError, "no NVIDIA driver", "nvidia-smi"),
        ("too old to support range replay", ToolError, "range replay was refused", "app-range"),
        ("Failed to prepare range", ToolError, "range replay was refused", "app-range"),
        ("Unsupported API during capture", ToolError, "range replay was refused", "app-range"),
        ("Skipping invalid capture range", ToolError, "range replay was refused", "app-range"),
        ("Failed to prepare kernel", ToolError, SETUP, "PERFKIT_NCU"),
        ("Unknown Error on device", ToolError, SETUP, "PERFKIT_NCU"),
        ("Cannot lock GPU clock", MissingError, "clocks", "ncu.clock_control=none"),
        ("Failed to lock GPU clock", MissingError, "clocks", "nvidia-smi --lock-gpu-clocks"),
        ("lock file", MissingError, "its lock", "TMPDIR"),
        ("Insufficient free memory", ToolError, "no memory left", "ncu.replay=application"),
        ("Unable to write to file", MissingError, "could not write its report", "--out"),
        ("Failed to find metric", UsageError, "one of the metrics", "ncu --query-metrics"),
        ("Metric %s not found", UsageError, "one of the metrics", "ncu --query-metrics"),
    ],
)
def test_messages_that_could_not_be_provoked_become_errors(
    words: str, kind: type[PerfkitError], message: str, fix: str
) -> None:
    """As an old ncu's executables hold them; whether there are results does not matter."""
    found = [line for line in WORDS if words in line]
    assert found
    for line in found:
        said = f"==ERROR== {line}".replace("%u", "0").replace("%s", "name")
        for measured in (False, True):
            fault = fault_of(f"==PROF== Connected to process 1 (x)\n{said}\n", measured=measured)
            assert isinstance(fault, kind)
            assert message in fault.message
            assert said.split("== ")[-1].strip()[:60] in fault.message
            assert fix in fault.fix


@pytest.mark.parametrize("words", ELSEWHERE)
def test_messages_that_others_report_become_errors(words: str) -> None:
    kind, message = ELSEWHERE[words]
    fault = fault_of(f"{words}\n==ERROR== The application returned an error code (9).\n", measured=False)
    assert isinstance(fault, kind)
    assert message in fault.message
    assert fault.fix


def test_what_was_stopped_is_not_told_that_ncu_gave_up() -> None:
    """A time limit ends ncu too: the limit is what the user must hear of. Words as reported of application replay."""
    said = '==PROF== Received signal\n==PROF== Trying to shutdown target application\n==ERROR== Failed to profile "k"'
    assert fault_of(said, measured=True) is None


def test_what_a_program_prints_is_not_taken_for_ncu_s_words() -> None:
    assert words_of("ERR_NVGPUCTRPERM is explained below\n  ==ERROR== quoted\n==PROF== own") == "==PROF== own"
