"""The DeepSeek-OCR cost tree against the real transformers modules, at full size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from perfkit_deepseek_ocr import references as ocr_references
from perfkit_deepseek_ocr.batches import geometries_of
from perfkit_deepseek_ocr.estimate import architecture_of, estimate
from perfkit_deepseek_ocr.geometry import image_tokens
from perfkit_deepseek_ocr.modules import build_modules, ocr_module
from perfkit_deepseek_ocr.options import OcrModelOptions, OcrWorkload
from perfkit_deepseek_ocr.plugin import perfkit_analytic_models
from torch.utils.flop_counter import FlopCounterMode

from perfkit_core.reference import ReferenceCall
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.specs import ModelRequest
from perfkit_core.verification.count import count
from perfkit_core.verification.run import verify_model

SPEC = perfkit_analytic_models()[0]
FULL_SIZE = [
    {"mode": "gundam", "grid": "2x2"},
    *({"mode": "gundam", "grid": grid, "max_new_tokens": 3} for grid in ("2x3", "3x3")),
    *({"mode": mode, "max_new_tokens": 3} for mode in ("tiny", "small", "base", "large")),
]


def request_for(variant: str, **model: Any) -> ModelRequest:
    return ModelRequest(variant=variant, options=OcrModelOptions(**model))


def verify(variant: str, values: dict[str, Any], **model: Any) -> VerifyReport:
    return verify_model(
        SPEC,
        request_for(variant, **model),
        OcrWorkload(**values),
        workload_name="test",
        tolerance=0.05,
        progress=lambda line: None,
    )


def assert_no_difference(report: VerifyReport) -> None:
    assert [layer.path for layer in report.layers if layer.verdict != "equal"] == []
    assert (report.mismatched, report.max_relative_difference, report.max_bytes_difference) == (0, 0.0, 0.0)
    assert report.unmatched == ()
    assert report.passed
    assert report.end_to_end.expected == report.end_to_end.counted
    assert report.end_to_end.parameters_expected == report.end_to_end.parameters_counted


@pytest.mark.parametrize("values", FULL_SIZE, ids=lambda values: "-".join(map(str, values.values())))
def test_no_difference_at_full_size(values: dict[str, Any]) -> None:
    report = verify("default", values)
    assert_no_difference(report)
    assert report.end_to_end.parameters_counted == 3_335_504_128
    assert report.counted_modules == 313 + 2 * (154 + 1)
    assert any("batched_mm" in method for method in report.methods)


@pytest.mark.parametrize(
    ("values", "model"),
    [
        ({"mode": "tiny", "max_new_tokens": 1}, {}),
        ({"mode": "tiny", "max_new_tokens": 2, "pages": 3}, {"dtype": "float16"}),
        ({"mode": "small", "max_new_tokens": 10, "prompt_tokens": 1}, {"dtype": "float32"}),
        ({"grid": "1x2", "max_new_tokens": 11, "batch_size": 3}, {"head_positions": "all"}),
        ({"grid": "9x1", "max_new_tokens": 6, "pages": 5, "batch_size": 2}, {"dtype": "float32"}),
    ],
)
def test_no_difference_at_odd_shapes(values: dict[str, Any], model: dict[str, Any]) -> None:
    assert_no_difference(verify("tiny", values, **model))


@pytest.mark.parametrize("tokens", [2, 9, 10, 11, 30])
def test_sampled_steps_equal_running_every_step(tokens: int) -> None:
    request, workload = request_for("tiny"), OcrWorkload(mode="tiny", max_new_tokens=tokens)
    sampled = {reference.path: reference for reference in ocr_references.references(request, workload)}
    sampled_decode = sampled["decode/language_model"]
    geometry = geometries_of(OcrModelOptions(), workload)[-1]

    def run_all(module: torch.nn.Module) -> None:
        cache = ocr_references.filled_cache(module.config, geometry, geometry.prompt)
        for step in range(geometry.decode_steps):
            ids = torch.empty(1, 1, dtype=torch.long, device="meta")
            position = torch.full((1, 1), geometry.prompt + step, device="meta")
            mask = {"full_attention": None}
            module(
                inputs_embeds=module.embed_tokens(ids),
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                attention_mask=mask,
            )
        assert cache.get_seq_length() == geometry.last_context

    whole = count(replace(sampled_decode, calls=[ReferenceCall(run=run_all)]))
    counted = count(sampled_decode)
    assert whole.keys() == counted.keys()
    for path, module in whole.items():
        assert counted[path].flops == module.flops, path
        assert counted[path].calls == module.calls, path
        assert +counted[path].nbytes == +Counter(module.nbytes), path
    rows = dict(estimate(request, workload).rows())
    assert rows["decode/language_model"].inclusive.flops == whole["decode/language_model"].flops


def test_samples_stand_for_every_step_once() -> None:
    for steps in range(1, 60):
        geometry = geometries_of(OcrModelOptions(), OcrWorkload(max_new_tokens=steps + 1))[-1]
        samples = ocr_references.decode_samples(geometry)
        contexts = range(geometry.first_context, geometry.last_context + 1)
        assert sum(times for _, times in samples) == len(contexts) == steps
        assert sum(keys * times for keys, times in samples) == sum(contexts)
        assert all(times > 0 and keys in contexts for keys, times in samples)
        assert len(samples) <= 9


@pytest.mark.parametrize("keys", [284, 411, 794, 8192])
def test_one_full_size_step_at_several_contexts(keys: int) -> None:
    request = request_for("default")
    language = build_modules(request)["model"].model.language_model
    language.set_experts_implementation(ocr_references.EXPERTS)
    prompt = keys - 1 - 273
    workload = OcrWorkload(mode="base", max_new_tokens=2, prompt_tokens=prompt)
    geometry = geometries_of(OcrModelOptions(), workload)[-1]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ocr_references.decode(language, geometry, keys)
    expected = dict(estimate(request, workload).rows())["decode/language_model"].inclusive.flops
    assert expected == counter.get_total_flops()


def test_the_pieces_are_what_the_whole_model_runs() -> None:
    """On real tensors, the encoders one after the other give what the model's own method gives."""
    torch.manual_seed(0)
    model = ocr_module(architecture_of(request_for("tiny")), "float32")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.1)
    pages, tiles = torch.randn(1, 3, 512, 512), torch.randn(2, 3, 640, 640)
    with torch.no_grad():
        whole = model.model.get_image_features(pages, tiles, [2], [[2, 1]]).pooler_output[0]
        base, local = ocr_references.vision_module(model)([pages, tiles])
    newline, separator = model.model.image_newline, model.model.view_separator
    base_rows = base[0].reshape(8, 8, -1)
    tile_rows = torch.cat([tile.reshape(10, 10, -1) for tile in local], dim=1)
    sequence = [
        *(torch.cat([*row, newline]) for row in tile_rows),
        *(torch.cat([*row, newline]) for row in base_rows),
        separator,
    ]
    joined = torch.cat(sequence)
    assert joined.numel() == (image_tokens("tiny", None) + 10 * 21) * 64
    assert torch.allclose(whole.flatten(), joined, atol=1e-5)


def test_a_wrong_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfkit_core import ops

    real = ops.expert_linear

    def halved(*args: Any, **kwargs: Any) -> ops.Op:
        op = real(*args, **kwargs)
        return op._replace(flops=op.flops // 2)

    monkeypatch.setattr(ops, "expert_linear", halved)
    report = verify("tiny", {"mode": "tiny", "max_new_tokens": 3})
    wrong = {layer.path for layer in report.layers if layer.verdict == "over"}
    assert "prefill/language_model/layers.1/mlp/experts" in wrong
    assert "decode/language_model/layers.2/mlp/experts" in wrong
    assert not report.passed
    assert report.max_relative_difference == pytest.approx(0.5)


def test_parameters_counted_again_in_decode_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfkit_deepseek_ocr import shapes

    monkeypatch.setattr(shapes, "sharing_weights", lambda op: op)
    report = verify("tiny", {"mode": "tiny", "max_new_tokens": 3})
    assert not report.passed
    assert "decode/language_model/embed_tokens" in {layer.path for layer in report.layers if layer.verdict == "over"}
