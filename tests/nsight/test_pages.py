"""What a reader sees of a capture: the console, ``regions.md``, ``kernels.md`` and the report page."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit_core import api
from perfkit_core.cli.capture_output import show_capture

from .exports import Recording

MUL = (
    "void at::native::elementwise_kernel<(int)128, (int){}, void at::native::gpu_kernel_impl<at::native::BinaryFunctor"
    "<float, float, float, at::native::binary_internal::MulFunctor<float>>>(at::TensorIteratorBase &, const T1 &)::"
    "[lambda(int) (instance 1)]>(int, T3)"
)


@pytest.fixture
def recording() -> Recording:
    return Recording()


def shown(recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    run = api.import_files([recording.write(tmp_path / "a.sqlite")], out=tmp_path / "R")
    show_capture(run, as_json=False)
    pages = {name: (run.path / name).read_text() for name in ("regions.md", "kernels.md", "report.md")}
    return {"console": capsys.readouterr().out, **pages}


def row(page: str, name: str) -> list[str]:
    line = next(line for line in page.splitlines() if f"`{name}`" in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_kernels_have_readable_names_and_their_full_ones_below(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording.range("step", 0, 20_000)
    for correlation, (unroll, duration) in enumerate([(4, 3000), (4, 1000), (2, 2000)], start=1):
        recording.launch(correlation * 1000, duration, correlation, name=MUL.format(unroll))
    seen = shown(recording, tmp_path, capsys)
    for page in ("kernels.md", "report.md"):
        first = row(seen[page], "elementwise: mul (float) [4]")
        assert first == ["1", "`elementwise: mul (float) [4]`", "PyTorch", "2", "4.000 µs", "2.000 µs", "66.7 %"]
        assert row(seen[page], "elementwise: mul (float) [2]")[4] == "2.000 µs"
    assert all(f"`{MUL.format(unroll)}`" in seen["kernels.md"] for unroll in (4, 2))
    assert "| PyTorch | 2 | 3 | 6.000 µs | 100.0 % |" in seen["kernels.md"]
    assert "elementwise: mul (float) [4]" in seen["console"]
    assert "at::native" not in seen["console"]


def test_without_work_on_a_device_the_time_on_the_host_is_shown(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording.range("load", 0, 5_000_000)
    recording.range("step", 6_000_000, 8_000_000)
    recording.range("step", 8_000_000, 9_000_000)
    seen = shown(recording, tmp_path, capsys)
    assert row(seen["regions.md"], "default: step") == ["`default: step`", "2", "3.000 ms", "1.500 ms"]
    assert row(seen["report.md"], "step") == ["`(default)`", "`step`", "2", "3.000 ms", "1.500 ms"]
    console = [line.split() for line in seen["console"].splitlines()]
    assert ["(default)", "load", "1", "5.000", "ms", "5.000", "ms"] in console
    assert console.index(["(default)", "load", "1", "5.000", "ms", "5.000", "ms"]) < console.index(
        ["(default)", "step", "2", "3.000", "ms", "1.500", "ms"]
    )
    assert "inclusive" not in seen["console"] + seen["regions.md"]


def test_of_many_regions_those_with_the_most_time_are_shown(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(60):
        recording.range(f"part{number}", number * 1000, number * 1000 + 900)
        recording.launch(number * 1000 + 10, 100 + number, number + 1)
    seen = shown(recording, tmp_path, capsys)
    for page in ("regions.md", "report.md"):
        parts = [line for line in seen[page].splitlines() if "part" in line and line.startswith("|")]
        assert len(parts) == 40
        assert "part59" in parts[0]
        assert "part20" in parts[-1]
        assert "20 more" in seen[page]


def blocks(recording: Recording) -> None:
    """A short stage, a loop of three blocks of one kernel, the last twice as long, and a fourth of two kernels."""
    recording.domain(7, "perfkit")
    recording.range("load", 0, 1000, domain=7)
    recording.launch(10, 50, 1)
    recording.range("run", 10_000, 90_000, domain=7)
    for number in range(4):
        at = 20_000 + 10_000 * number
        recording.range(f"blocks.{number}", at, at + 9000, domain=7)
        recording.launch(at + 10, 4000 if number == 2 else 2000, 10 + number, name="product")
    recording.launch(50_020 + 3000, 100, 30, name="more")


def test_equal_blocks_are_one_row_and_stages_come_first(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks(recording)
    seen = shown(recording, tmp_path, capsys)
    lines = [line for line in seen["regions.md"].splitlines() if line.startswith("|")]
    header = [cell.strip() for cell in lines[0].strip("|").split("|")]
    names = [line.split("`")[1] for line in lines[2:-2]]
    assert names == ["load", "run", "run/blocks.[0-2]", "run/blocks.3"]  # the first takes next to no time
    found = dict(zip(header, row(seen["regions.md"], "run/blocks.[0-2]"), strict=True))
    assert (found["regions"], found["instances"], found["kernels"]) == ("3", "1", "3")
    assert (found["inclusive"], found["mean of one"], found["min"], found["max"]) == (
        "8.000 µs", "2.667 µs", "2.000 µs", "4.000 µs",
    )  # fmt: skip
    alone = dict(zip(header, row(seen["regions.md"], "run/blocks.3"), strict=True))
    assert (alone["regions"], alone["mean of one"]) == ("1", "")
    assert found["share of kernel time"] == "78.8 %"
    by_region = seen["kernels.md"].split("## By region")[1]
    header = [cell.strip() for cell in by_region.split("|\n")[0].split("|")[1:]]
    kernel = dict(zip(header, row(by_region, "run/blocks.[0-2]"), strict=False))
    assert [kernel[name] for name in ("kernel", "regions", "calls", "total")] == ["`product`", "3", "3", "8.000 µs"]
    assert (kernel["mean of one"], kernel["min"], kernel["max"]) == ("2.667 µs", "2.000 µs", "4.000 µs")
    assert by_region.count("`product`") == 2
    assert "`run/blocks.[0-2]`" in seen["report.md"]
    assert "| share of device time |" in seen["kernels.md"]


def test_escape_sequences_in_names_are_written_out(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording.range("a\x1b[2Jb", 0, 900)
    recording.launch(10, 100, 1, name="k\x1b[31m")
    seen = shown(recording, tmp_path, capsys)
    assert all("\x1b" not in page for page in seen.values())
    assert all("a\\x1b[2Jb" in seen[page] for page in ("console", "regions.md", "report.md"))
    assert all("k\\x1b[31m" in seen[page] for page in ("console", "kernels.md", "report.md"))


@pytest.mark.parametrize(("columns", "cut"), [(200, False), (70, True)])
def test_names_of_kernels_fit_the_terminal(columns: int, cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfkit_core.cli import capture_output

    monkeypatch.setattr(capture_output, "width", lambda: columns)
    names = [f"triton_poi_fused_add_mul_view_transpose_sum_{number}_of_a_very_long_row_{number}" for number in (1, 2)]
    fitting = capture_output._fitting(names, 40)
    assert len(set(fitting)) == 2
    assert (fitting != names, all(len(name) <= columns - 40 for name in fitting)) == (cut, True)
    assert capture_output._fitting(["a" * 50 + "1" + "b" * 50, "a" * 50 + "2" + "b" * 50], columns)[0].count("1") == 1
