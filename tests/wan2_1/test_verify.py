"""The Wan2.1 cost tree against the real diffusers and transformers modules, at full size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from perfkit_wan2_1 import references as wan_references
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.plugin import perfkit_analytic_models
from perfkit_wan2_1.workloads import workloads

from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.specs import ModelRequest
from perfkit_core.verification.count import count
from perfkit_core.verification.run import verify_model

SPEC = perfkit_analytic_models()[0]
NAMED = {workload.name: workload.values for workload in workloads()}


def verify(variant: str, values: dict[str, object], **model: object) -> VerifyReport:
    return verify_model(
        SPEC,
        ModelRequest(variant=variant, options=WanModelOptions(**model)),
        WanWorkload(**values),
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


@pytest.mark.parametrize("name", NAMED)
def test_no_difference_at_full_size(name: str) -> None:
    report = verify("t2v_14b", NAMED[name])
    assert_no_difference(report)
    assert report.counted_modules >= 611 + 290 + 64
    assert report.end_to_end.parameters_counted == 14_288_491_584 + 5_680_910_336 + 126_892_531


@pytest.mark.parametrize("variant", ["tiny", "t2v_1_3b"])
@pytest.mark.parametrize(
    "values",
    [
        {"num_frames": 1, "height": 64, "width": 32, "text_len": 3, "batch_size": 2, "num_inference_steps": 3},
        {"num_frames": 5, "height": 32, "width": 64, "text_len": 300, "guidance": False},
        {"num_frames": 14, "height": 48, "width": 16, "text_len": 1, "batch_size": 3},
    ],
)
@pytest.mark.parametrize("types", [("bfloat16", "bfloat16"), ("float16", "float16"), ("float32", "float32")])
def test_no_difference_at_odd_shapes(variant: str, values: dict[str, object], types: tuple[str, str]) -> None:
    assert_no_difference(verify(variant, values, dtype=types[0], vae_dtype=types[1]))


@pytest.mark.parametrize("frames", [1, 5, 9, 21])
def test_counting_distinct_chunks_equals_decoding_everything(frames: int) -> None:
    request = ModelRequest(variant="tiny", options=WanModelOptions())
    workload = WanWorkload(num_frames=frames, height=32, width=48)
    *_, sampled = _references(request, workload)
    latents = torch.empty(1, 16, (frames - 1) // 4 + 1, 4, 6, device="meta")
    whole = replace(sampled, calls=[ReferenceCall(run=lambda vae: vae.decode(latents))])
    expected, counted = count(whole), count(sampled)
    assert expected.keys() == counted.keys()
    for path, module in expected.items():
        assert counted[path].flops == module.flops, path
        assert counted[path].calls == module.calls, path
        assert +counted[path].nbytes == +Counter(module.nbytes), path


def _references(request: ModelRequest, workload: WanWorkload) -> Iterator[Reference]:
    return wan_references.references(request, workload)


def test_a_wrong_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfkit_core import ops

    real = ops.linear

    def halved(*args: object, **kwargs: object) -> ops.Op:
        op = real(*args, **kwargs)  # type: ignore[arg-type]
        return op._replace(flops=op.flops // 2) if op.dims["out_features"] == 256 else op

    monkeypatch.setattr(ops, "linear", halved)
    report = verify("tiny", {"num_frames": 1, "height": 32, "width": 32, "text_len": 4})
    wrong = {layer.path for layer in report.layers if layer.verdict == "over"}
    assert "denoise/step/transformer/blocks.0/ffn/net.0/proj" in wrong
    assert not report.passed
    assert report.max_relative_difference == pytest.approx(0.5)
