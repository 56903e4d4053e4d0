"""``report.md``'s table of regions with hardware counters has the figure that each verdict rests on."""

from __future__ import annotations

from perfkit_core.report import render
from perfkit_core.schema.counters import Efficiency

from .stakeholder_runs import PRODUCT, Work, run_of


def test_how_busy_the_sms_are_stands_beside_what_limits_a_region() -> None:
    run = run_of({"denoise": Work(1.0, {PRODUCT: 1.0})}, counters=True)
    counters = run.counters
    assert counters is not None
    busy = Efficiency(peak_share=0.087, compute_share=0.615, memory_share=0.382)
    changes = {"efficiency": busy, "bound": "compute", "measured_share": 0.5, "inclusive_ns": 1000, "idle_share": 0.25}
    regions = tuple(region.model_copy(update=changes) for region in counters.regions)
    run.__dict__["counters"] = counters.model_copy(update={"regions": regions, "profiler": "ncu"})
    lines = render(run).split("## Hardware counters")[1].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    found = dict(zip(table[0], table[2], strict=True))
    assert found["limited by"] == "compute"
    assert found["SMs busy, of their peak"] == "61.5 %"
    assert found["of peak arithmetic"] == "8.7 %"
    assert found["of memory system"] == "38.2 %"
    assert found["idle under the profiler"] == "25.0 %"


def test_a_range_replayed_as_a_whole_is_not_called_unmeasured() -> None:
    run = run_of({"denoise": Work(1.0, {PRODUCT: 1.0})}, counters=True)
    counters = run.counters
    assert counters is not None
    first, *others = counters.regions
    whole = first.model_copy(update={"range_ns": 9000.0, "measured_share": 0.0})
    run.__dict__["counters"] = counters.model_copy(update={"regions": (whole, *others), "profiler": "ncu"})
    lines = render(run).split("## Hardware counters")[1].splitlines()
    row = next(line for line in lines if line.startswith(f"| `{first.path}` |"))
    assert row.split("|")[3].strip() == "as a whole"
