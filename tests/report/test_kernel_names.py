"""Readable names of kernels: those of real captures, and any text."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfkit_core.kernel_names import LONGEST, library_of, readable, readable_names
from perfkit_core.texts import visible

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TABLES = sorted(RESULTS.glob("*/*/kernels.parquet"))
KINDS = {"", "cuBLAS", "cuDNN", "CUTLASS", "CUB", "PyTorch", "Triton"}

VECTORIZED = "void at::native::vectorized_elementwise_kernel<(int)"
LAMBDA = "::[lambda() (instance 1)]::operator ()() const::[lambda(c10::BFloat16) (instance 1)]"
CASES = [
    ("cuBLAS", "nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT", "nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT"),
    ("Triton", "triton_red_fused_add_mean_0", "triton_red_fused_add_mean_0"),
    ("Triton", "triton_poi_fused_cudnn_attention_1", "triton_poi_fused_cudnn_attention_1"),
    (
        "PyTorch",
        f"{VECTORIZED}4, at::native::BinaryFunctor<c10::BFloat16, c10::BFloat16, c10::BFloat16, "
        "at::native::binary_internal::MulFunctor<float>>, std::array<char *, (unsigned long)3>>(int, T2, T3)",
        "vectorized_elementwise: mul (bf16)",
    ),
    (
        "PyTorch",
        f"{VECTORIZED}8, at::native::GeluCUDAKernelImpl(at::TensorIteratorBase &){LAMBDA}>(int, T2, T3)",
        "vectorized_elementwise: gelu (bf16)",
    ),
    (
        "PyTorch",
        "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl<at::native::direct_copy_kernel_cuda("
        "at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda(float)#1}>(at::TensorIteratorBase&, "
        "int const&)::{lambda(int)#1}>(int, float)",
        "elementwise: direct_copy (float)",
    ),
    (
        "FlashAttention",
        "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64, 4>, false>(Flash_fwd_params)",
        "flash_fwd_kernel<Flash_fwd_kernel_traits, false>",
    ),
    (
        "PyTorch",
        "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float, true>(int)",
        "vectorized_layer_norm_kernel<bf16, float, true>",
    ),
    ("CUTLASS", "void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64_8x5_tn_align1>(T1::Params)",
     "cutlass_80_simt_sgemm_64x64_8x5_tn_align1"),
    ("cuBLAS", "void dot_kernel<float, (int)128, (int)0, cublasDotParams<const float>>(T4)",
     "dot_kernel<float, 128, 0, cublasDotParams>"),
    ("NCCL", "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*)", "ncclDevKernel_AllReduce_Sum_f32_RING_LL"),
    ("cuFFT", "void vector_fft<1024u, EPT<8u>, float>(kernel_arguments_t<unsigned int>)",
     "vector_fft<1024u, EPT, float>"),
    ("CUTLASS", "_ZN7cutlass13device_kernelIN2at4cuda13GemmUniversalINS9_28MMA_64x128x16_F32BF16BF16_SSE",
     "GemmUniversal: MMA_64x128x16_F32BF16BF16_SS"),
    ("", "add_one(const float *, float *, int)", "add_one"),
    ("", "Memcpy DtoH (Device -> Pinned)", "Memcpy DtoH (Device -> Pinned)"),
    ("", "a\x1b[31mb", "a\\x1b[31mb"),
]  # fmt: skip


@pytest.mark.parametrize(("library", "name", "short"), CASES, ids=[case[2][:40] for case in CASES])
def test_names_say_what_a_kernel_does_and_whose_it_is(library: str, name: str, short: str) -> None:
    assert (library_of(name), readable(name)) == (library, short)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.parent.name)
def test_kernels_of_real_captures_are_short_and_told_apart(table: Path) -> None:
    columns = pyarrow.parquet.read_table(table).to_pydict()
    names = {name for name, kind in zip(columns["name"], columns["kind"], strict=True) if kind == "kernel"}
    shown = readable_names(names)
    assert set(shown) == names
    assert len(set(shown.values())) == len(names) > 3
    assert max(map(len, shown.values())) <= LONGEST
    assert not any("at::native" in short or "lambda" in short for short in shown.values())
    assert {library_of(name) for name in names} <= KINDS


def test_what_differs_is_kept_where_two_would_look_the_same() -> None:
    tile = "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize{}_warpgroupsize1x1x1_g1__5x_cudnn"
    names = [tile.format("128x128x32"), tile.format("256x32x32")]
    shown = readable_names(names)
    assert [shown[name].rpartition(" ")[2] for name in names] == ["[tilesize128x128x32]", "[tilesize256x32x32]"]
    assert list(readable_names(["f(int)", "f(int*, int)", "f(a)"]).values()) != ["f", "f", "f"]


@example({"", "::", "a::", "<>", "a<b>::"})
@given(st.sets(st.text(alphabet=st.sampled_from("ab<>(){}[]:,-_ 1ZN\x1b\n#")) | st.text(), max_size=8))
def test_any_text_is_short_printable_and_told_apart(names: set[str]) -> None:
    shown = readable_names(names)
    assert set(shown) == names
    assert len(set(shown.values())) == len(names)
    assert all(
        len(short) <= LONGEST and visible(short) == short and short == " ".join(short.split())
        for short in shown.values()
    )
    assert all(isinstance(library_of(name), str) for name in names)
