"""Recommendations for any figures: nobody is promised more time than there is, and no figure is made up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit_core.findings import Findings
from perfkit_core.kernel_kinds import kind_of
from perfkit_core.report import render

from .stakeholder_runs import ATTENTION, LIGHT, PRODUCT, Work, run_of

SECONDS = st.floats(1e-6, 1e4)
WORK = st.builds(
    Work,
    seconds=SECONDS,
    kernels=st.dictionaries(st.sampled_from([ATTENTION, PRODUCT, LIGHT, "something_else"]), SECONDS),
    count=st.integers(1, 10_000),
    flops=st.dictionaries(st.sampled_from(["linear", "attention", "conv"]), st.integers(1, 10**19), min_size=1),
    nbytes=st.dictionaries(st.sampled_from(["linear", "attention", "elementwise"]), st.integers(1, 10**16)),
    steps=st.integers(1, 500),
    spread=st.floats(0, 0.9),
    launches=st.none() | st.integers(0, 10_000),
)
RUNS = st.dictionaries(st.sampled_from(["prefill", "decode", "vae"]), WORK, min_size=1)


@settings(max_examples=150, deadline=None)
@given(
    stages=RUNS, timed=st.booleans(), idle=st.booleans(), kind=st.sampled_from(["model", "command", "import"]),
    outside=st.floats(0, 1e4), sample=st.booleans(),
)  # fmt: skip
def test_no_recommendation_saves_more_than_its_stage_takes(
    stages: dict[str, Work], timed: bool, idle: bool, kind: str, outside: float, sample: bool
) -> None:
    run = run_of(
        stages, metrics=timed, idle=idle, kind=kind, outside=outside, sample=sample, counters=[] if sample else False
    )
    found = Findings(run)
    seconds = {one.path: one.seconds for one in found.stages}
    for one in found.all_recommendations:
        assert 0 < one.saves_seconds <= one.at_most_seconds * (1 + 1e-9)
        assert one.at_most_seconds <= seconds[one.path] * (1 + 1e-9)
        assert one.at_most_seconds <= found.run_seconds * (1 + 1e-9)
        assert one.speedup is None or one.speedup >= 1
    saved = [one.saves_seconds for one in found.all_recommendations]
    assert saved == sorted(saved, reverse=True)
    assert all(0 <= one.share <= 1 for one in found.stages)
    assert (
        found.whole.kind == "run"
        or not found.whole.is_stretched
        or all(one.speedup is None for one in found.all_recommendations)
    )
    assert render(run, template="stakeholder_summary.md").count("\n## ") == 8


def test_every_sentence_has_a_figure_and_changes_with_it() -> None:
    """Two runs of the same shape and other figures share no sentence of takeaways and recommendations."""

    def sentences(factor: float) -> set[str]:
        stages = {
            "decode": Work(9.0 * factor, {PRODUCT: 1.5, LIGHT: 0.3}, steps=100, seen=4, count=round(421 * factor)),
            "denoise": Work(20.0, {ATTENTION: 9.7 / factor, PRODUCT: 9.9}, flops={"attention": round(3e15 / factor)}),
        }
        found = Findings(run_of(stages))
        lines = {found.point, *(line for one in found.takeaways for line in (one.headline, *one.evidence))}
        return lines | {one.evidence for one in found.recommendations}

    first, second = sentences(1.0), sentences(1.3)
    assert all(re.search(r"\d", line) for line in first | second)
    shared = first & second
    assert len(shared) <= 2, shared


@pytest.mark.parametrize("factor", [1.0, 1.7])
def test_no_figure_is_fixed_text(factor: float) -> None:
    """Every figure of the point is one of the data: scaled times give scaled figures."""
    stages = {"decode": Work(9.0 * factor, {PRODUCT: 1.8 * factor}, steps=100, seen=4, count=4000)}
    figures = re.findall(r"\d[\d.]*", Findings(run_of(stages)).point)
    half = f"{90 * factor:.2f}" if factor == 1 else f"{90 * factor:.1f}"
    seconds = f"{9 * factor:.3f}" if factor == 1 else f"{9 * factor:.2f}"
    assert figures == ["100.0", seconds, half, "95", "3", "20.0", "4000"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (ATTENTION, "attention"),
        ("void pytorch_flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128> >", "attention"),
        ("fmha_cutlassF_f32_aligned_32x128_gmem_sm80(Params)", "attention"),
        (PRODUCT, "matrix products"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x128_32x3_nn_align4>(Params)", "matrix products"),
        ("void cublasLt::splitKreduce_kernel<32, 16, int>", "matrix products"),
        ("triton_tem_fused_mm_3", "matrix products"),
        ("sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc__5x_cudnn", "convolutions"),
        ("void implicit_convolve_sgemm<__nv_bfloat16, 1024, 5, 5>(int)", "convolutions"),
        (LIGHT, "element-wise"),
        ("triton_poi_fused_add_mul_7", "element-wise"),
        ("triton_red_fused__to_copy_mean_9", "norms and reductions"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float>", "norms and reductions"),
        ("void at::native::sbtopk::gatherTopK<float, unsigned int, 1, false>", "norms and reductions"),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float> > >",
         "norms and reductions"),
        ("void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>",
         "copies"),
        ("void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, false, true>", "copies"),
        ("Memcpy DtoD (Device -> Device)", "copies"),
        ("getrf_pivot<getrf_params_<float, 32> >", "other"),
    ],
)  # fmt: skip
def test_what_a_kernel_does_is_told_from_its_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_copies_and_sets_are_copies_whatever_they_are_called() -> None:
    assert kind_of("[CUDA memcpy Host-to-Device]", "copy") == kind_of("gemm", "set") == "copies"
