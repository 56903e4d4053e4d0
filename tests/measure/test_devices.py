"""The table of devices: names as drivers report them, and MFU from dense peaks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from perfkit_core import ops
from perfkit_core.backends.metrics import metrics
from perfkit_core.backends.mfu import match_device
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.devices import builtin_devices
from perfkit_core.schema.run import DeviceRecord, GpuRecord
from perfkit_core.schema.session import RegionSample, RunSample, Session

NAMES = {
    "NVIDIA H100 80GB HBM3": "h100_sxm",
    "NVIDIA H100 PCIe": "h100_pcie",
    "NVIDIA H200": "h200",
    "NVIDIA H20": "h20",
    "NVIDIA B200": "b200",
    "NVIDIA A100-SXM4-80GB": "a100_sxm",
    "NVIDIA L40S": "l40s",
    "NVIDIA GeForce RTX 4090": "rtx_4090",
    "NVIDIA GeForce RTX 5090": "rtx_5090",
    "NVIDIA GeForce RTX 3090": "rtx_3090",
    "NVIDIA H200 NVL": None,
    "NVIDIA H100 NVL": None,
    "NVIDIA H100 80GB HBM3 MIG 1g.10gb": None,
    "NVIDIA GeForce RTX 4090 Laptop GPU": None,
    "NVIDIA GeForce RTX 3090 Ti": None,
    "NVIDIA L40": None,
    "Some GPU": None,
}


@pytest.mark.parametrize(("reported", "name"), NAMES.items())
def test_a_name_matches_its_own_entry_or_none(reported: str, name: str | None) -> None:
    found = match_device(reported, builtin_devices())
    assert (found.name if found else None) == name


def test_every_entry_has_dense_peaks_and_a_source() -> None:
    for device in builtin_devices():
        assert device.source
        assert device.dense_peaks["bfloat16"] >= device.dense_peaks["tfloat32"] >= device.dense_peaks["float32"]
    peaks = {device.name: device.dense_peaks["bfloat16"] / 1e12 for device in builtin_devices()}
    assert peaks["h200"] == pytest.approx(989.4)  # not the 1979 of structured sparsity


def gpu(name: str, *, tf32: bool) -> DeviceRecord:
    record = GpuRecord(name=name, uuid="", memory_bytes=1, driver="", compute_capability="9.0", before={}, after={})
    return DeviceRecord(
        device="cuda:0", processor="", cores=1, threads=1, torch="2", cuda="12", cudnn="", tf32_matmul=tf32,
        tf32_conv=True, gpu=record,
    )  # fmt: skip


def tree() -> CostTree:
    half = Node("linear", "linear", 2, ops=[ops.linear(1024, 1024, 1024, "bfloat16", calls=2)])
    full = Node("linear", "linear", 1, ops=[ops.linear(1024, 1024, 1024, "float32")])
    stage = Node("stage", "container", 1, children=[("half", half), ("full", full)])
    return CostTree((("work", stage),), MemoryEstimate(0, 0, {}, 0), {})


def measured(device: DeviceRecord):
    regions = (
        RegionSample(path="work", parent=-1, host_ns=1, device_ns=100_000),
        RegionSample(path="work/half", parent=0, host_ns=1, device_ns=60_000),
    )
    runs = [RunSample(index=0, warmup=False, wall_ns=125_000, regions=regions)]
    context = SimpleNamespace(tree=tree(), devices=builtin_devices())
    session = Session(device=device, complete=True)
    return metrics(
        runs, session, context, source="passes/01-wall_clock", overhead={"region_ns": 1000.0, "stage_ns": 4000.0}
    )


@pytest.mark.parametrize(("tf32", "single"), [(False, 66.9e12), (True, 494.7e12)])
def test_mfu_is_the_time_at_peak_over_the_measured_time(tf32: bool, single: float) -> None:
    flops = 2 * 1024**3
    found = measured(gpu("NVIDIA H200", tf32=tf32))
    assert found.mfu_missing == ""
    use = {one.path: one for one in found.mfu}
    assert use["work/half"].mfu == pytest.approx(2 * flops / 989.4e12 / 60e-6)
    ideal = 2 * flops / 989.4e12 + flops / single
    assert use["work"].mfu == pytest.approx(ideal / 100e-6)
    assert use[""].mfu == pytest.approx(ideal / 125e-6)
    assert (use["work"].flops, use["work/half"].nested_in, use["work"].nested_in) == (3 * flops, "work", "")
    assert use["work"].bandwidth_share == pytest.approx(use["work"].bytes / 4800e9 / 100e-6)
    assert found.region_overhead_share == pytest.approx((4000 + 1000) / 125_000)  # one stage, one region in it


def test_an_unknown_gpu_has_no_mfu_and_the_message_says_how_to_add_it() -> None:
    found = measured(gpu("Some GPU", tf32=False))
    assert found.mfu == ()
    assert found.peaks is None
    assert "'Some GPU'" in found.mfu_missing
    assert "perfkit_devices" in found.mfu_missing


def test_energy_of_a_page_counts_the_iterations_that_were_left_out() -> None:
    loop = {"parent": -1, "host_ns": 1, "device_ns": 10_000, "total": 10, "warmup": 0, "measured": 2}
    regions = tuple(RegionSample(path="decode", index=index, **loop) for index in range(2))
    run = RunSample(index=0, warmup=False, wall_ns=25_000, energy_mj=10, regions=regions)
    context = SimpleNamespace(tree=None, devices=builtin_devices())
    session = Session(device=gpu("NVIDIA H200", tf32=False), complete=True, units={"pages": 2.0})
    overhead = {"region_ns": 0.0, "stage_ns": 0.0}
    found = metrics([run], session, context, source="passes/01-wall_clock", overhead=overhead).aggregates
    assert found.run_ms.mean == pytest.approx(0.105)  # 5 us outside, and 10 iterations of 10 us
    assert found.energy_j.mean == pytest.approx(0.01)
    assert found.energy_per_unit_j["pages"].mean == pytest.approx(0.01 * 105 / 25 / 2)
    assert metrics([run.model_copy(update={"energy_mj": None})], session, context, source="", overhead=overhead
                   ).aggregates.energy_per_unit_j == {}  # fmt: skip
