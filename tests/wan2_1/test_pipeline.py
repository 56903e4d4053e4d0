"""The real generation: against the library's own pipeline, under regions, and with every option."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from perfkit_wan2_1.estimate import estimate
from perfkit_wan2_1.offloading import HostCopy
from perfkit_wan2_1.options import WanModelOptions, WanWorkload
from perfkit_wan2_1.plugin import perfkit_workloads

from perfkit_core.errors import MissingError, UsageError
from perfkit_core.options import build_options
from perfkit_core.regions import ALL, Iteration, Recorder, Regions
from perfkit_core.specs import ModelRequest
from perfkit_core.workload import BuildContext, Workload

from .tiny_checkpoint import LOAD

BUILD = perfkit_workloads()[0].build
SMALL = {"num_frames": 6, "height": 32, "width": 48, "text_len": 9, "num_inference_steps": 3}


class Calls(Recorder):
    """Counts every region, and notes the size of every loop."""

    def __init__(self) -> None:
        self.paths: Counter[str] = Counter()
        self.totals: set[int] = set()

    def push(self, path: str, iteration: Iteration | None, **details: Any) -> None:
        self.paths[path] += 1
        if iteration is not None:
            self.totals.add(iteration.total)


def built(
    workload: Mapping[str, Any], *, seed: int = 0, components: Mapping[str, Any] | None = None, **options: Any
) -> Workload:
    assert BUILD is not None
    request = ModelRequest(
        variant="tiny", options=WanModelOptions(**{"dtype": "float32", **options}), device="cpu", seed=seed
    )
    found = BUILD(
        BuildContext(
            request=request,
            options=WanWorkload(**workload),
            components=components or LOAD(request),
            device="cpu",
            seed=seed,
        )
    )
    found.prepare()
    return found


def generate(workload: Workload, **settings: Any) -> tuple[torch.Tensor, Calls]:
    calls = Calls()
    regions = Regions((calls,), **settings)
    regions.begin(0, warmup=False)
    video: Any = workload.step(regions)
    regions.end()
    regions.close()
    return video, calls


@pytest.mark.parametrize("guidance", [True, False])
def test_the_video_is_that_of_the_library_pipeline(guidance: bool) -> None:
    from diffusers import UniPCMultistepScheduler, WanPipeline

    request = ModelRequest(variant="tiny", options=WanModelOptions(dtype="float32"), device="cpu", seed=4)
    parts = LOAD(request)
    workload = built({**SMALL, "guidance": guidance}, seed=4, components=parts)
    video, _ = generate(workload, iterations=ALL)
    recorded = {entry["name"]: entry for entry in workload.inputs()}
    generator = torch.Generator().manual_seed(4)
    words = torch.randint(3, 1024, (2 if guidance else 1, 1, 9), generator=generator)
    with torch.no_grad():
        prompts = [parts["text_encoder"](input_ids=row).last_hidden_state for row in words]
    pipeline = WanPipeline(
        tokenizer=None,
        text_encoder=parts["text_encoder"],
        vae=parts["vae"],
        transformer=parts["transformer"],
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=recorded["schedule"]["flow_shift"]
        ),
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt_embeds=prompts[0],
        negative_prompt_embeds=prompts[-1],
        height=32,
        width=48,
        num_frames=5,
        num_inference_steps=3,
        guidance_scale=recorded["schedule"]["guidance_scale"] if guidance else 1.0,
        generator=torch.Generator().manual_seed(4),
        output_type="pt",
    ).frames
    torch.testing.assert_close(video.permute(0, 2, 1, 3, 4) / 2 + 0.5, expected)
    assert video.std() > 0.05


def test_regions_are_paths_of_the_cost_tree() -> None:
    video, calls = generate(built({**SMALL, "batch_size": 2}), depth=9, iterations=ALL)
    assert video.shape == (2, 3, 5, 32, 48)
    tree = estimate(ModelRequest(variant="tiny", options=WanModelOptions()), WanWorkload(**SMALL, batch_size=2))
    rows = dict(tree.rows())
    # Drop-outs are called and compute nothing, so the tree does not have them.
    strange = {path for path in calls.paths if path not in rows and "dropout" not in path}
    assert {path.rsplit("/", 1)[-1] for path in strange} <= IDLE
    for path in ("denoise/step/transformer", "denoise/step/transformer/blocks.1/attn2/to_k", "vae_decode/vae/decoder"):
        assert calls.paths[path] == rows[path].calls
    assert calls.paths["denoise/step"] == 3
    assert calls.paths["text_encoder/encoder/block.1"] == 2


IDLE = {
    "to_out.1",
    "net.1",
    "act",
    "act_fn",
    "resample.0",
    "nonlinearity",
    "conv_shortcut",
    "norm_out",
    "timesteps_proj",
}


@pytest.mark.parametrize(("guidance", "passes"), [(True, 2), (False, 1)])
def test_guidance_means_two_calls_of_each(guidance: bool, passes: int) -> None:
    _, calls = generate(built({**SMALL, "guidance": guidance}), iterations=ALL)
    assert calls.paths["denoise/step"] == 3
    assert calls.paths["denoise/step/transformer"] == 3 * passes
    assert calls.paths["text_encoder/encoder"] == passes
    assert calls.paths["vae_decode/vae"] == 1
    assert calls.totals == {3}


def test_long_denoising_is_sampled() -> None:
    video, calls = generate(built({**SMALL, "num_inference_steps": 50, "guidance": False}))
    assert calls.paths["denoise/step"] == 4
    assert calls.totals == {50}
    assert video.isfinite().all()


@pytest.mark.parametrize("frames", [1, 4, 5, 9])
def test_frames_are_those_that_the_report_says(frames: int) -> None:
    shape = {**SMALL, "num_frames": frames, "num_inference_steps": 1, "batch_size": 2}
    workload = built(shape)
    video, _ = generate(workload)
    geometry = estimate(ModelRequest(variant="tiny", options=WanModelOptions()), WanWorkload(**shape)).geometry
    assert video.shape[2] == geometry["decoded_frames"]
    assert workload.units() == {"frames": 2 * video.shape[2], "videos": 2}
    assert video.abs().max() <= 1


def test_a_seed_decides_everything() -> None:
    first, again, other = (generate(built(SMALL, seed=seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    workload = built(SMALL, seed=1)
    assert torch.equal(generate(workload)[0], first)
    assert torch.equal(generate(workload)[0], first)
    assert {entry["seed"] for entry in workload.inputs() if "seed" in entry} == {1}
    names = [entry["name"] for entry in workload.inputs()]
    assert names == ["prompt", "negative_prompt", "noise", "schedule"]
    workload.close()


@pytest.mark.parametrize("types", [("bfloat16", "float32"), ("float16", "float16"), ("bfloat16", "bfloat16")])
def test_every_element_type_runs(types: tuple[str, str]) -> None:
    video, _ = generate(built({**SMALL, "num_inference_steps": 1}, dtype=types[0], vae_dtype=types[1]))
    assert video.dtype == getattr(torch, types[1])
    assert video.isfinite().all()


def test_attention_kernels_agree() -> None:
    expected, _ = generate(built(SMALL))
    torch.testing.assert_close(generate(built(SMALL, attention="math"))[0], expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("attention", "dtype"), [("efficient", "float32"), ("cudnn", "bfloat16"), ("flash_attn", "bfloat16")]
)
def test_attention_that_the_device_lacks_is_refused(attention: str, dtype: str) -> None:
    with pytest.raises(MissingError, match=f"attention={attention} .*CUDA"):
        built(SMALL, attention=attention, dtype=dtype)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"attention": "flash", "dtype": "float32"}, "attention=flash needs dtype"),
        ({"attention": "flsh"}, "sdpa"),
        ({"compile": "fast"}, "max-autotune"),
        ({"compile": "reduce-overhead", "offload": "stage"}, "use compile=default"),
    ],
)
def test_choices_that_cannot_be_are_usage_errors(values: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError) as raised:
        build_options(WanModelOptions, values, owner="model 'wan2_1'")
    assert named in str(raised.value)


def test_choices_of_kernels_do_not_change_the_costs() -> None:
    trees = [
        estimate(ModelRequest(variant="tiny", options=WanModelOptions(**options)), WanWorkload(**SMALL))
        for options in ({}, {"attention": "flash", "compile": "default"})
    ]
    assert trees[0].total() == trees[1].total()


def test_compiling_hides_what_is_inside_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = generate(built(SMALL))
    real, asked = torch.compile, []

    def without_code_generation(module: Any, *, mode: str, dynamic: bool) -> Any:
        asked.append((type(module).__name__, mode, dynamic))
        return real(module, backend="eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", functools.wraps(real)(without_code_generation))
    workload = built(SMALL, compile="default")
    calls = Calls()
    regions = Regions((calls,), depth=9)
    video: Any = workload.step(regions)
    assert asked == [("WanTransformer3DModel", "default", False)]
    torch.testing.assert_close(video, expected)
    assert calls.paths["denoise/step/transformer"] == 6
    assert not any(path.startswith("denoise/step/transformer/") for path in calls.paths)
    assert list(regions.hidden) == ["denoise/step/transformer"]
    assert "vae_decode/vae/decoder" in calls.paths


def test_offloading_changes_nothing_but_the_place() -> None:
    expected, _ = generate(built(SMALL))
    workload = built(SMALL, offload="stage")
    assert torch.equal(generate(workload)[0], expected)
    assert torch.equal(generate(workload)[0], expected)


def test_a_lent_network_is_on_the_device_for_the_block_alone() -> None:
    module = torch.nn.ModuleList([torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)])
    module[1].weight = module[0].weight
    module.register_buffer("table", torch.ones(2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    lent = HostCopy(module, "cpu")
    inside = []
    with lent.on_device():
        inside = [tensor.data_ptr() for tensor in module.parameters()]
    assert inside == [tensor.data_ptr() for tensor in module.parameters()]  # the host is the device
    with pytest.raises(RuntimeError, match="halfway"), lent.on_device():
        raise RuntimeError("halfway")
    assert module[1].weight is module[0].weight
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_size_beyond_the_rotary_table_is_refused() -> None:
    with pytest.raises(MissingError, match="rotary table of 1024"):
        built({**SMALL, "width": 16 * 1025})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_offloading_leaves_one_network_on_the_gpu() -> None:
    device = "cuda:0"
    request = ModelRequest(variant="tiny", options=WanModelOptions(offload="stage"), device=device)
    parts = LOAD(request)
    assert {tensor.device.type for part in parts.values() for tensor in part.parameters()} == {"cpu"}
    assert BUILD is not None
    workload = BUILD(
        BuildContext(request=request, options=WanWorkload(**SMALL), components=parts, device=device, seed=0)
    )
    workload.prepare()
    places: set[tuple[str, str, str]] = set()

    class Places(Recorder):
        def pop(self, path: str) -> None:
            for name, part in parts.items():
                places.add((path, name, next(part.parameters()).device.type))

    workload.step(Regions((Places(),)))
    assert ("denoise/step/transformer", "transformer", "cuda") in places
    assert ("denoise/step/transformer", "vae", "cpu") in places
    assert ("text_encoder/encoder", "transformer", "cpu") in places
    assert {next(part.parameters()).device.type for part in parts.values()} == {"cpu"}
