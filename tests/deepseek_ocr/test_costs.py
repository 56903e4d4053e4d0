"""Invariants of the DeepSeek-OCR cost tree, over the whole range of workloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_deepseek_ocr import metadata
from perfkit_deepseek_ocr.estimate import estimate
from perfkit_deepseek_ocr.geometry import BASE_SIZES, MODES, tile_grids
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload

from perfkit_core.analytic_report import analytic_report
from perfkit_core.costtree import Cost, CostTree, Node, add_costs
from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.ops import DTYPE_BYTES
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.specs import ModelRequest

WORKLOAD = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(MODES),
        "grid": st.sampled_from(tile_grids()).map(lambda grid: f"{grid[0]}x{grid[1]}"),
        "pages": st.integers(1, 30),
        "batch_size": st.integers(1, 4),
        "prompt_tokens": st.integers(1, 200),
        "max_new_tokens": st.integers(1, 2000),
    }
)
MODEL = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["bfloat16", "float16", "float32"]),
        "head_positions": st.sampled_from(["last", "all"]),
    }
)
VARIANT = st.sampled_from(["default", "tiny"])
SPENT = ("flops", "elementwise_flops", "bytes_read", "bytes_written")


def tree_of(variant: str, model: Mapping[str, Any], workload: Mapping[str, Any]) -> CostTree:
    return estimate(ModelRequest(variant=variant, options=OcrModelOptions(**model)), OcrWorkload(**workload))


def stage(tree: CostTree, name: str) -> Node:
    return dict(tree.stages)[name]


@settings(max_examples=30, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_totals_are_the_sum_of_own_values(variant: str, model: dict[str, Any], workload: dict[str, Any]) -> None:
    tree = tree_of(variant, model, workload)
    rows = tree.rows()
    assert tree.total() == add_costs([node.own for _, node in rows])
    for _, node in rows:
        assert node.inclusive == add_costs([node.own, *(child.inclusive for _, child in node.children)])
    assert len({path for path, _ in rows}) == len(rows)
    assert all(type(value) is int and value >= 0 for _, node in rows for value in node.own)


@settings(max_examples=30, deadline=None)
@given(VARIANT, MODEL, WORKLOAD, st.integers(2, 5))
def test_linear_in_pages_and_in_batches(
    variant: str, model: dict[str, Any], workload: dict[str, Any], factor: int
) -> None:
    base = tree_of(variant, model, {**workload, "pages": workload["batch_size"]})
    pages = tree_of(variant, model, {**workload, "pages": factor * workload["batch_size"]})
    for field in SPENT:
        assert getattr(pages.total(), field) == factor * getattr(base.total(), field)
    for field in ("parameters", "weight_bytes", "activation_bytes"):
        assert getattr(pages.total(), field) == getattr(base.total(), field)
    assert pages.memory.kv_cache_bytes == base.memory.kv_cache_bytes
    of_base, of_tiles = BASE_SIZES[workload["mode"]] ** 2, base.geometry["tiles"] * 640**2
    more = (factor - 1) * workload["batch_size"] * 3 * (of_base + of_tiles) * DTYPE_BYTES[model["dtype"]]
    assert pages.memory.peak_bytes == base.memory.peak_bytes + more  # pixels of all pages are on the device
    larger = {**workload, "pages": 1, "batch_size": factor * workload["batch_size"]}
    batch = tree_of(variant, model, larger)
    assert batch.total().flops == pages.total().flops
    assert batch.total().bytes_read <= pages.total().bytes_read
    assert batch.memory.kv_cache_bytes == factor * base.memory.kv_cache_bytes


@settings(max_examples=30, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_decode_is_the_sum_of_its_steps(variant: str, model: dict[str, Any], workload: dict[str, Any]) -> None:
    """A page of n tokens decodes what pages of two tokens do, each with a prompt one token longer."""
    tokens = min(workload["max_new_tokens"], 12)
    whole = stage(tree_of(variant, model, {**workload, "max_new_tokens": tokens}), "decode").inclusive
    steps = [
        stage(tree_of(variant, model, {**workload, "max_new_tokens": 2, "prompt_tokens": prompt}), "decode").inclusive
        for prompt in range(workload["prompt_tokens"], workload["prompt_tokens"] + tokens - 1)
    ]
    for field in SPENT:
        assert getattr(whole, field) == sum(getattr(step, field) for step in steps)


@settings(max_examples=20, deadline=None)
@given(VARIANT, MODEL, WORKLOAD, st.sampled_from(["prompt_tokens", "max_new_tokens"]))
def test_more_tokens_cost_more(variant: str, model: dict[str, Any], workload: dict[str, Any], knob: str) -> None:
    less, more = (tree_of(variant, model, {**workload, knob: workload[knob] + extra}) for extra in (0, 1))
    for field in SPENT:
        assert getattr(more.total(), field) > getattr(less.total(), field)
    assert more.total().parameters == less.total().parameters
    assert more.memory.peak_bytes >= less.memory.peak_bytes
    assert more.memory.kv_cache_bytes > less.memory.kv_cache_bytes


def test_a_category_of_attention_cores_has_what_attention_moves_alone() -> None:
    """Rotary embedding and relative positions have categories of their own."""
    report = analytic_report(tree_of("default", {}, {}), model="m", variant="v", workload="w", parameters={})
    found = {category.name: category for category in report.categories}
    cores = [name for name in found if name.endswith("attention core")]
    assert len(cores) == 4
    for name in cores:
        attention = [op for one in report.modules if one.category == name for op in one.ops if op.kind == "attention"]
        assert found[name].bytes == sum(op.bytes_read + op.bytes_written for op in attention)
        assert found[name].flops == sum(op.flops for op in attention)
    assert found["rotary embedding"].bytes > 0
    assert found["relative positions"].flops > 0
    moved = report.totals.bytes_read + report.totals.bytes_written
    assert sum(category.bytes for category in report.categories) == moved


@settings(max_examples=10, deadline=None)
@given(VARIANT, MODEL, WORKLOAD)
def test_the_report_agrees_and_round_trips(variant: str, model: dict[str, Any], workload: dict[str, Any]) -> None:
    tree = tree_of(variant, model, workload)
    report = analytic_report(tree, model="deepseek_ocr", variant=variant, workload="w", parameters={})
    for field in Cost._fields:
        if field != "activation_bytes":
            assert getattr(report.totals, field) == sum(getattr(module, f"own_{field}") for module in report.modules)
    assert report.totals.flops == sum(category.flops for category in report.categories)
    assert all(module.own_flops == sum(op.flops for op in module.ops) for module in report.modules)
    assert AnalyticReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("mode", MODES)
def test_parameters_are_those_of_the_real_model(mode: str) -> None:
    tree = tree_of("default", {}, {"mode": mode})
    assert tree.total().parameters == 3_335_504_128 == 3_170_627_840 + 165_478_400 - 602_112
    rows = dict(tree.rows())
    assert rows["prefill/lm_head"].own.parameters == 165_478_400
    assert stage(tree, "decode").inclusive.parameters == stage(tree, "decode").inclusive.weight_bytes == 0
    assert any("602112 parameters" in entry for entry in tree.not_modelled)
    assert tree_of("default", {"dtype": "float32"}, {"mode": mode}).total().weight_bytes == 4 * 3_335_504_128


def test_dense_and_sparse_layers() -> None:
    rows = dict(tree_of("default", {}, {"mode": "base", "max_new_tokens": 3}).rows())
    experts = rows["prefill/language_model/layers.1/mlp/experts"]
    assert experts.own.parameters == 64 * 3 * 1280 * 896
    assert experts.own.flops == 6 * 283 * 2 * 3 * 1280 * 896
    one_token = rows["decode/language_model/layers.11/mlp/experts"]
    assert one_token.ops[0].weight_bytes_read == 6 * 2 * 1280 * 896 * 2
    assert "prefill/language_model/layers.0/mlp/experts" not in rows
    assert rows["prefill/language_model/layers.0/mlp/gate_proj"].own.parameters == 1280 * 6848
    shared = rows["prefill/language_model/layers.11/mlp/shared_experts/up_proj"]
    assert shared.own.parameters == 1280 * 2 * 896


def test_windows_are_padded_to_fourteen() -> None:
    rows = dict(tree_of("default", {}, {"mode": "base"}).rows())
    windowed, whole = rows["prefill/vision/sam/layers.0/attn"], rows["prefill/vision/sam/layers.2/attn"]
    assert dict(windowed.ops[0].dims) | {"bias_elements": 0} == {
        "batch": 25,
        "heads": 12,
        "q": 196,
        "kv": 196,
        "d": 64,
        "bias_elements": 0,
    }
    assert whole.ops[0].dims["q"] == 4096
    products = [op for op in windowed.ops if op.kind == "matmul"]
    assert sum(op.flops * op.calls for op in products) == 2 * 2 * 25 * 12 * 196 * 14 * 64


def test_head_positions() -> None:
    last, everywhere = (tree_of("default", {"head_positions": name}, {}) for name in ("last", "all"))
    head = 2 * 1280 * 129280
    assert everywhere.total().flops - last.total().flops == (703 - 1) * head
    assert stage(last, "decode").inclusive == stage(everywhere, "decode").inclusive


def test_every_view_is_encoded_in_one_call() -> None:
    rows = dict(tree_of("default", {}, {"grid": "2x3", "pages": 6, "batch_size": 2}).rows())
    assert rows["prefill/vision"].calls == rows["prefill/language_model"].calls == 3
    assert rows["prefill/vision/sam"].calls == rows["prefill/vision/projector"].calls == 6
    assert [op.dims["batch"] for op in rows["prefill/vision/sam/patch_embed/projection"].ops] == [2, 12]
    assert rows["prefill/vision/clip/embeddings/position_embedding"].calls == 3
    assert rows["decode/language_model"].calls == 3 * 511


def test_pages_fill_batches_and_the_notes_say_so() -> None:
    tree = tree_of("tiny", {}, {"pages": 5, "batch_size": 4, "max_new_tokens": 1})
    assert tree.geometry["pages"] == 8
    assert any("8 pages are read" in note for note in tree.notes)
    assert any("nothing is decoded" in note for note in tree.notes)
    assert all(getattr(stage(tree, "decode").inclusive, field) == 0 for field in SPENT)
    long = tree_of("default", {}, {"prompt_tokens": 8000})
    assert any("exceed the 8192 positions" in note for note in long.notes)


def test_a_checkpoint_directory_gives_the_architecture(tmp_path: Path) -> None:
    text = (metadata.VARIANTS / "tiny" / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    request = ModelRequest(variant="default", options=OcrModelOptions(), checkpoint=tmp_path)
    tree = estimate(request, OcrWorkload())
    assert tree.architecture == str(tmp_path)
    assert tree.total() == tree_of("tiny", {}, {}).total()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"deepseek_vl_v2"', '"bert"', MissingError, "model_type is 'bert'"),
        ('"use_mla": false', '"use_mla": true', MissingError, "language_config: use_mla is True"),
        ('"hidden_size": 64', '"hidden_size": 65', MissingError, "not a multiple of num_attention_heads=2"),
        ('"n_embed": 64', '"n_embed": 32', MissingError, "projector n_embed 32 does not fit"),
        ('"global_attn_indexes": [1]', '"global_attn_indexes": [3]', MissingError, "beyond the last of 3"),
        ('"num_experts_per_tok": 3', '"num_experts_per_tok": 9', MissingError, "exceeds n_routed_experts=8"),
        ('"vocab_size": 1024', '"vocab_size": 0', MissingError, "not an integer of at least 1"),
        ('"vocab_size": 1024', '"vocab_size": 99', MissingError, "outside the vocabulary 99"),
        ('"projector_config"', '"other"', MissingError, "'projector_config' is missing"),
        ("{", "[", DamagedFileError, "not valid JSON"),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    tmp_path: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    text = (metadata.VARIANTS / "tiny" / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text.replace(old, new, 1), encoding="utf-8")
    request = ModelRequest(variant="tiny", options=OcrModelOptions(), checkpoint=tmp_path)
    with pytest.raises(error, match=message):
        estimate(request, OcrWorkload())


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    for path, message in ((tmp_path, r"config\.json is missing"), (tmp_path / "no", "is not a directory")):
        request = ModelRequest(variant="tiny", options=OcrModelOptions(), checkpoint=path)
        with pytest.raises(MissingError, match=message):
            estimate(request, OcrWorkload())
