"""Counting references: exact bytes, one name per module, and refusing what cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from perfkit_core.errors import CheckFailed
from perfkit_core.reference import Reference, ReferenceCall
from perfkit_core.verification.count import count, region_paths


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(64, 192)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 16)).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(q, k, v)


def reference(module: nn.Module, run: Callable[[Any], object], times: int = 1) -> Reference:
    return Reference(path="stage/net", module=module, calls=[ReferenceCall(run=run, times=times)])


def meta(build: Callable[[], nn.Module], dtype: Any = torch.float32) -> nn.Module:
    with torch.device("meta"):
        return build().to(dtype)


def test_linear_and_attention_are_counted_by_hand() -> None:
    module = meta(Attention, torch.bfloat16)
    x = torch.empty(2, 10, 64, dtype=torch.bfloat16, device="meta")
    counted = count(reference(module, lambda m: m(x), times=3))
    net, qkv = counted["stage/net"], counted["stage/net/qkv"]
    linear = 2 * 20 * 64 * 192
    core = 4 * 2 * 4 * 10 * 10 * 16
    assert (net.calls, net.flops, net.parameters) == (3, 3 * (linear + core), 64 * 192 + 192)
    assert (qkv.calls, qkv.flops) == (3, 3 * linear)
    assert qkv.nbytes == {"linear": 3 * 2 * (20 * 64 + 64 * 192 + 192 + 20 * 192)}
    assert net.nbytes["attention"] == 3 * 2 * 4 * (2 * 4 * 10 * 16)


def test_convolution_broadcast_and_embedding_bytes() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.table = nn.Embedding(100, 8)

        def forward(self, image: Any, ids: Any) -> Any:
            y = self.conv(image)
            scale = self.table(ids).view(1, 8, 1, 1)
            return y * scale.expand(1, 8, 16, 16) + 1

    image, ids = torch.empty(1, 3, 16, 16, device="meta"), torch.empty(1, dtype=torch.long, device="meta")
    counted = count(reference(meta(Net), lambda m: m(image, ids)))
    assert counted["stage/net/conv"].nbytes == {"conv": 4 * (3 * 256 + 8 * 27 + 8 + 8 * 256)}
    assert counted["stage/net/table"].nbytes == {"embedding": 8 + 2 * 4 * 8}
    # the expanded operand is read once: 8 elements, not 8 x 256
    assert counted["stage/net"].nbytes == {"elementwise": 4 * ((2048 + 8 + 2048) + (2048 + 2048))}


def test_one_name_per_module_and_never_called_parameters() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
            self.unused = nn.Linear(4, 7)
            self.tied = nn.Linear(4, 4)
            self.tied.weight = self.layers[0].weight
            self.tied.bias = self.layers[0].bias

        def helper(self, x: Any) -> Any:
            return self.layers[1](self.layers[0](x))

    x = torch.empty(1, 4, device="meta")
    counted = count(reference(meta(Inner), lambda m: m.helper(x)))
    assert {path: (module.calls, module.parameters) for path, module in counted.items()} == {
        "stage/net": (None, 20 + 20 + 35),
        "stage/net/layers.0": (1, 20),
        "stage/net/layers.1": (1, 20),
        "stage/net/unused": (0, 35),
        "stage/net/tied": (0, 0),
    }
    assert counted["stage/net"].flops == 2 * 2 * 4 * 4


def test_paths_use_the_nearest_called_ancestor() -> None:
    names = ["", "blocks", "blocks.0", "blocks.0.attn", "blocks.0.attn.to_q", "encoder", "encoder.conv"]
    called = {"blocks.0", "blocks.0.attn", "blocks.0.attn.to_q"}
    assert region_paths("s", names, called) == {
        "": "s",
        "blocks": "s/blocks",
        "blocks.0": "s/blocks.0",
        "blocks.0.attn": "s/blocks.0/attn",
        "blocks.0.attn.to_q": "s/blocks.0/attn/to_q",
        "encoder": "s/encoder",
        "encoder.conv": "s/encoder.conv",
    }


def test_cpu_reference_is_refused() -> None:
    x = torch.zeros(1, 3, 64)
    with pytest.raises(CheckFailed, match=r"qkv\.weight is on cpu, attention would count as 0"):
        count(reference(Attention(), lambda m: m(x)))


def test_attention_on_cpu_inputs_inside_a_meta_module_is_refused() -> None:
    class Hidden(nn.Module):
        def forward(self) -> Any:
            q = torch.zeros(1, 2, 8, 16)
            return nn.functional.scaled_dot_product_attention(q, q, q)

    with pytest.raises(CheckFailed, match=r"as 0|computed on cpu"):
        count(reference(Hidden(), lambda m: m()))


def test_products_on_cpu_inside_a_meta_module_are_refused() -> None:
    class Hidden(nn.Module):
        def forward(self) -> Any:
            return torch.zeros(4, 4) @ torch.zeros(4, 4)

    with pytest.raises(CheckFailed, match="computed on cpu"):
        count(reference(Hidden(), lambda m: m()))


def test_fake_cpu_reference_is_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        module, x = Attention(), torch.zeros(1, 3, 64)
    with pytest.raises(CheckFailed, match="fake tensor, attention would count as 0"):
        count(reference(module, lambda m: m(x)))


def test_grouped_matmul_experts_are_refused_and_batched_ones_counted() -> None:
    from transformers import Qwen3MoeConfig
    from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

    config = Qwen3MoeConfig(hidden_size=64, moe_intermediate_size=32, num_experts=8, num_experts_per_tok=2)
    x = torch.empty(1, 16, 64, device="meta", dtype=torch.bfloat16)
    config._experts_implementation = "grouped_mm"
    with pytest.raises(CheckFailed, match=r"aten\._grouped_mm as 0"):
        count(reference(meta(lambda: Qwen3MoeSparseMoeBlock(config), torch.bfloat16), lambda m: m(x)))
    config._experts_implementation = "batched_mm"
    counted = count(reference(meta(lambda: Qwen3MoeSparseMoeBlock(config), torch.bfloat16), lambda m: m(x)))
    assert counted["stage/net/experts"].flops == 16 * 2 * 3 * 2 * 64 * 32


def test_an_operator_of_another_library_is_refused() -> None:
    @torch.library.custom_op("perfkit_test::fused_mlp", mutates_args=())
    def fused_mlp(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @fused_mlp.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return fused_mlp(x)

    with pytest.raises(CheckFailed, match=r"perfkit_test\.fused_mlp as 0"):
        count(reference(Net(), lambda m: m(torch.empty(4, 4, device="meta"))))


def test_something_that_is_no_module_is_refused() -> None:
    with pytest.raises(CheckFailed, match=r"no torch\.nn\.Module"):
        count(Reference(path="x", module=object(), calls=[]))
