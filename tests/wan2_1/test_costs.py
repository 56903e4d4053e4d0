"""Invariants of the Wan2.1 cost tree, over the whole range of workloads."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_wan2_1.estimate import estimate
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.workloads import workloads

from perfkit_core.analytic_report import analytic_report
from perfkit_core.costtree import Cost, CostTree, add_costs
from perfkit_core.hotspots import category_values
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.specs import ModelRequest

WORKLOAD = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 4),
        "num_frames": st.integers(1, 200),
        "height": st.integers(1, 130).map(lambda n: 16 * n),
        "width": st.integers(1, 130).map(lambda n: 16 * n),
        "num_inference_steps": st.integers(1, 60),
        "text_len": st.integers(1, 1024),
        "guidance": st.booleans(),
    }
)
MODEL = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["bfloat16", "float16", "float32"]),
        "vae_dtype": st.sampled_from(["bfloat16", "float16", "float32"]),
        "offload": st.sampled_from(["none", "stage"]),
    }
)
VARIANT = st.sampled_from(["t2v_14b", "t2v_1_3b", "tiny"])


def tree_of(variant: str, model: dict[str, object], workload: dict[str, object]) -> CostTree:
    return estimate(ModelRequest(variant=variant, options=WanModelOptions(**model)), WanWorkload(**workload))


def report_of(tree: CostTree) -> AnalyticReport:
    return analytic_report(tree, model="wan2_1", variant="v", workload="w", parameters={})


@settings(max_examples=40, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_totals_are_the_sum_of_own_values(variant: str, model: dict[str, object], workload: dict[str, object]) -> None:
    tree = tree_of(variant, model, workload)
    assert tree.total() == add_costs([node.own for _, node in tree.rows()])
    for _, node in tree.rows():
        children = [child.inclusive for _, child in node.children]
        assert node.inclusive == add_costs([node.own, *children])
    paths = [path for path, _ in tree.rows()]
    assert len(paths) == len(set(paths))


def test_a_category_of_attention_cores_has_what_attention_moves_alone() -> None:
    """Rotary embedding and other arithmetic of attention modules have categories of their own."""
    report = report_of(tree_of("t2v_14b", {}, {}))
    found = {category.name: category for category in report.categories}
    cores = [name for name in found if name.endswith("attention core")]
    assert len(cores) == 4
    for name in cores:
        attention = [op for one in report.modules if one.category == name for op in one.ops if op.kind == "attention"]
        assert found[name].bytes == sum(op.bytes_read + op.bytes_written for op in attention)
        assert found[name].flops == sum(op.flops for op in attention)
    core = found["self-attention core"]
    assert core.flops / core.bytes == 75600 / 2  # 4·n²·w FLOPs for 4·n·w elements of 2 bytes, of n tokens
    assert found["rotary embedding"].bytes > core.bytes
    assert found["rotary embedding"].flops == 0
    listed = {category.name: category.bytes for category in report.categories}
    assert category_values(report, "bytes") == {**dict.fromkeys(category_values(report, "bytes"), 0), **listed}


@settings(max_examples=25, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_report_totals_stages_and_categories_agree(
    variant: str, model: dict[str, object], workload: dict[str, object]
) -> None:
    tree = tree_of(variant, model, workload)
    report = report_of(tree)
    for field in Cost._fields:
        if field != "activation_bytes":
            assert getattr(report.totals, field) == sum(getattr(module, f"own_{field}") for module in report.modules)
    assert report.totals.flops == sum(stage.flops for stage in report.stages)
    assert report.totals.flops == sum(category.flops for category in report.categories)
    moved = report.totals.bytes_read + report.totals.bytes_written
    assert moved == sum(category.bytes for category in report.categories)
    assert sum(category.share for category in report.categories) == pytest.approx(1)
    for module in report.modules:
        assert module.own_flops == sum(op.flops for op in module.ops)
        assert module.own_bytes_read == sum(op.bytes_read for op in module.ops)


@settings(max_examples=40, deadline=None)
@given(VARIANT, MODEL, WORKLOAD, st.integers(2, 5))
def test_linear_in_steps_and_batch(
    variant: str, model: dict[str, object], workload: dict[str, object], factor: int
) -> None:
    base = tree_of(variant, model, workload)
    more_steps = {**workload, "num_inference_steps": factor * int(workload["num_inference_steps"])}
    steps = tree_of(variant, model, more_steps)
    denoise, scaled = dict(base.stages)["denoise"].inclusive, dict(steps.stages)["denoise"].inclusive
    for field in ("flops", "elementwise_flops", "bytes_read", "bytes_written"):
        assert getattr(scaled, field) == factor * getattr(denoise, field)
    for field in ("parameters", "weight_bytes", "activation_bytes"):
        assert getattr(scaled, field) == getattr(denoise, field)
    assert steps.memory == base.memory
    assert dict(steps.stages)["text_encoder"].inclusive == dict(base.stages)["text_encoder"].inclusive
    assert dict(steps.stages)["vae_decode"].inclusive == dict(base.stages)["vae_decode"].inclusive

    batch = tree_of(variant, model, {**workload, "batch_size": factor * int(workload["batch_size"])})
    assert batch.total().flops == factor * base.total().flops
    assert batch.total().parameters == base.total().parameters
    assert batch.memory.weight_bytes == base.memory.weight_bytes or model["offload"] == "stage"


@settings(max_examples=60, deadline=None)
@given(
    VARIANT,
    MODEL,
    WORKLOAD,
    st.sampled_from([("num_frames", 4), ("height", 16), ("width", 16), ("text_len", 1), ("batch_size", 1)]),
)
def test_monotone(variant: str, model: dict[str, object], workload: dict[str, object], knob: tuple[str, int]) -> None:
    name, step = knob
    less, more = (
        tree_of(variant, model, workload),
        tree_of(variant, model, {**workload, name: int(workload[name]) + step}),
    )
    small, large = less.total(), more.total()
    assert large.flops > small.flops
    assert large.bytes_read > small.bytes_read
    assert large.bytes_written > small.bytes_written
    assert large.activation_bytes > small.activation_bytes
    assert large.parameters == small.parameters
    assert more.memory.peak_bytes >= less.memory.peak_bytes


@settings(max_examples=15, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_report_round_trips_through_json(variant: str, model: dict[str, object], workload: dict[str, object]) -> None:
    report = report_of(tree_of(variant, model, workload))
    text = report.model_dump_json()
    assert AnalyticReport.model_validate_json(text) == report
    assert "NaN" not in text
    assert "Infinity" not in text


def test_nothing_overflows_at_4k_and_10_000_frames() -> None:
    workload = {"num_frames": 10_000, "height": 2160, "width": 3840}
    tree = tree_of("t2v_14b", {}, workload)
    report = report_of(tree)
    assert report.totals.flops > 5 * 10**21
    assert report.totals.flops > 2**63
    again = AnalyticReport.model_validate(json.loads(report.model_dump_json()))
    assert again.totals.flops == report.totals.flops
    for module in again.modules:
        for field, value in module:
            if isinstance(value, int):
                assert value >= 0, (module.path, field)
    for category in again.categories:
        assert 0 <= category.share <= 1
        assert math.isfinite(category.bytes_share)
    assert any("exceed the rotary table" in note for note in tree.notes)


FORWARD_TFLOP = {"ci_tiny": 6.46261768192, "p512": 115.58867697664, "p720": 522.39262810112}
"""torch's own count of one transformer forward, in TFLOP."""


@pytest.mark.parametrize("name", FORWARD_TFLOP)
def test_one_transformer_forward_equals_the_published_count(name: str) -> None:
    values = {workload.name: workload.values for workload in workloads()}[name]
    tree = tree_of("t2v_14b", {}, {**values, "num_inference_steps": 1})
    assert dict(tree.rows())["denoise/step/transformer"].inclusive.flops == round(FORWARD_TFLOP[name] * 10**12)


def test_notes_say_what_the_model_really_does() -> None:
    tree = tree_of("tiny", {}, {"num_frames": 16, "height": 64, "width": 64, "guidance": False})
    assert any("num_frames=16" in note and "13 frames" in note for note in tree.notes)
    assert tree.geometry["decoded_frames"] == 13
    exact = tree_of("tiny", {}, {"num_frames": 13, "height": 64, "width": 64, "guidance": False})
    assert exact.total() == tree.total()
    assert not any("num_frames" in note for note in exact.notes)


def test_guidance_doubles_text_encoder_and_transformer_only() -> None:
    shape = {"num_frames": 5, "height": 64, "width": 64}
    free = dict(tree_of("tiny", {}, {**shape, "guidance": False}).stages)
    guided = dict(tree_of("tiny", {}, {**shape, "guidance": True}).stages)
    for stage, factor in (("text_encoder", 2), ("denoise", 2), ("vae_decode", 1)):
        assert guided[stage].inclusive.flops == factor * free[stage].inclusive.flops


def test_offloading_keeps_one_network_resident() -> None:
    workload = {"num_frames": 5, "height": 64, "width": 64}
    everything, one = tree_of("t2v_14b", {}, workload).memory, tree_of("t2v_14b", {"offload": "stage"}, workload).memory
    assert one.peak_bytes < everything.peak_bytes
    assert everything.kv_cache_bytes == one.kv_cache_bytes == 0
    assert everything.weight_bytes == tree_of("t2v_14b", {}, workload).total().weight_bytes


def test_never_called_modules_hold_their_parameters() -> None:
    rows = dict(tree_of("t2v_14b", {}, {"num_frames": 1, "height": 64, "width": 64}).rows())
    time_conv = rows["vae_decode/vae/decoder/up_blocks.0/upsamplers.0/time_conv"]
    assert time_conv.calls == 0
    assert time_conv.own.parameters == 3 * 384 * 768 + 768
    assert time_conv.own.flops == time_conv.own.bytes_read == 0
    assert rows["vae_decode/vae"].inclusive.parameters == 126_892_531
