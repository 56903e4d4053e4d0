"""One real generation: prompts in, video out, under the regions of the cost tree.

The order of calls, the scheduler and the arithmetic between the networks are those of the library's own
text-to-video pipeline. Tokenising, and turning the decoded video into a file, are outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.regions import Regions
from perfkit_core.workload import BuildContext, Workload
from perfkit_wan2_1.acceleration import choose_attention, compiled
from perfkit_wan2_1.estimate import architecture_of, geometry_of, model_options
from perfkit_wan2_1.offloading import HostCopy
from perfkit_wan2_1.options import CUDA_GRAPH_MODES, WanWorkload

GUIDANCE_SCALE = 5.0
SHIFT, SHIFT_720P = 3.0, 5.0
"""Shift of the noise schedule up to 480p, and from 720 rows and columns on."""

FIRST_WORD = 3
"""Tokens below are padding, end of text and unknown word."""


class TextToVideo(Workload):
    """Wan2.1 text-to-video on real modules.

    Args:
        context: Model request, workload options, the built networks, device and seed.
    """

    def __init__(self, context: BuildContext) -> None:
        if not isinstance(context.options, WanWorkload):
            raise TypeError(f"expected WanWorkload, got {type(context.options).__name__}")
        self._device, self._seed = context.device, context.seed
        self._options = model_options(context.request)
        self._architecture = architecture_of(context.request)
        self._geometry = geometry_of(self._architecture, self._options, context.options)
        self._shift = SHIFT_720P if min(context.options.height, context.options.width) >= 720 else SHIFT
        self._text_encoder = context.components["text_encoder"]
        self._transformer = context.components["transformer"]
        self._vae = context.components["vae"]
        self._watching: Regions | None = None
        self._check_sizes()

    def _check_sizes(self) -> None:
        longest, table = max(self._geometry.grid), self._architecture.transformer.rope_max_seq_len
        if longest > table:
            raise MissingError(
                f"{longest} tokens along one axis exceed the transformer's rotary table of {table}: "
                "this size can be estimated, not run",
                fix="choose a smaller height, width or num_frames",
            )
        entries, channels = len(self._vae.config.latents_mean), self._architecture.vae.z_dim
        if {entries, len(self._vae.config.latents_std)} != {channels}:
            raise MissingError(
                f"the VAE has {channels} latent channels and statistics of {entries}",
                fix="give latents_mean and latents_std in the checkpoint's vae/config.json",
            )

    def prepare(self) -> None:
        """Choose kernels, place the networks and draw the prompts."""
        import torch

        choose_attention(self._transformer, self._options.attention, self._device)
        self._denoiser = compiled(self._transformer, self._options)
        networks = {"text_encoder": self._text_encoder, "denoise": self._transformer, "vae_decode": self._vae}
        self._lent: dict[str, HostCopy] = {}
        if self._options.offload == "stage":
            self._lent = {stage: HostCopy(network, self._device) for stage, network in networks.items()}
        vocabulary = self._architecture.text_encoder.vocab_size
        generator = torch.Generator().manual_seed(self._seed)
        size = (self._geometry.passes, self._geometry.batch, self._geometry.text_len)
        words = torch.randint(min(FIRST_WORD, vocabulary - 1), vocabulary, size, generator=generator)
        self._prompts = list(words.to(self._device))
        self._scheduler = _scheduler(self._shift)

    def step(self, regions: Regions) -> Any:
        """Generate one batch of videos; returns them, batch x channels x frames x rows x columns, -1 to 1."""
        import torch

        self._watch(regions)
        with torch.no_grad():
            embeddings = self._encode(regions)
            latents = self._denoise(regions, embeddings)
            return self._decode(regions, latents)

    def close(self) -> None:
        """Let go of networks and inputs."""
        self._text_encoder = self._transformer = self._denoiser = self._vae = None
        self._lent, self._prompts = {}, []

    def units(self) -> Mapping[str, float]:
        """Return videos and frames that one generation makes."""
        videos = self._geometry.batch
        return {"frames": videos * self._geometry.decoded_frames, "videos": videos}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Return what goes into a generation and how it was made."""
        geometry, latents = self._geometry, self._latent_size()
        words = {
            "generator": "torch.randint on cpu",
            "seed": self._seed,
            "size": [geometry.batch, geometry.text_len],
            "note": "random words that fill the padded length: no attention mask is passed, it would hide nothing",
        }
        noise = {"generator": f"torch.randn on {self._device}", "seed": self._seed, "size": list(latents)}
        names = ("prompt", "negative_prompt")[: geometry.passes]
        schedule = {
            "name": "schedule",
            "scheduler": "UniPCMultistepScheduler, flow prediction",
            "flow_shift": self._shift,
            "steps": geometry.steps,
        }
        if geometry.passes == 2:
            schedule["guidance_scale"] = GUIDANCE_SCALE
        return [*({"name": name, **words} for name in names), {"name": "noise", **noise}, schedule]

    def _latent_size(self) -> tuple[int, ...]:
        geometry = self._geometry
        rows, columns = geometry.latent_height, geometry.latent_width
        return (geometry.batch, self._architecture.transformer.in_channels, geometry.latent_frames, rows, columns)

    def _watch(self, regions: Regions) -> None:
        """Make regions of the networks' modules, once for every run's regions."""
        if self._watching is regions:
            return
        self._watching = regions
        regions.watch(self._text_encoder)  # the stage is its region
        regions.watch(self._denoiser, "transformer")
        regions.watch(self._vae)  # decoding is a method, so its region is opened around the call

    @contextmanager
    def _stage(self, regions: Regions, name: str) -> Iterator[None]:
        """Open the region of a stage; with offloading its network is on the device until the stage ends."""
        with regions.region(name):
            lent = self._lent.get(name)
            with nullcontext() if lent is None else lent.on_device():
                yield

    def _encode(self, regions: Regions) -> list[Any]:
        import torch

        dtype = getattr(torch, self._geometry.dtype)
        with self._stage(regions, "text_encoder"):
            return [self._text_encoder(input_ids=words).last_hidden_state.to(dtype) for words in self._prompts]

    def _denoise(self, regions: Regions, embeddings: list[Any]) -> Any:
        import torch

        dtype = getattr(torch, self._geometry.dtype)
        with self._stage(regions, "denoise"):
            generator = torch.Generator(device=self._device).manual_seed(self._seed)
            latents = torch.randn(self._latent_size(), generator=generator, device=self._device)
            self._scheduler.set_timesteps(self._geometry.steps, device=self._device)
            # Known from the start, so that the scheduler need not look for it on the device.
            self._scheduler.set_begin_index(0)
            for index in regions.loop("step", self._geometry.steps):
                moment = self._scheduler.timesteps[index]
                noise = self._predict(latents.to(dtype), moment.expand(latents.shape[0]), embeddings)
                latents = self._scheduler.step(noise, moment, latents, return_dict=False)[0]
        return latents

    def _predict(self, latents: Any, timestep: Any, embeddings: list[Any]) -> Any:
        """Return the predicted velocity; guided, from one call for each prompt."""
        import torch

        predicted = []
        for embedding in embeddings:
            inputs = {"hidden_states": latents, "timestep": timestep, "encoder_hidden_states": embedding}
            if self._options.compile in CUDA_GRAPH_MODES:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                # The next replay overwrites the graph's output, and guidance needs two at once.
                predicted.append(self._denoiser(**inputs, return_dict=False)[0].clone())
            else:
                predicted.append(self._denoiser(**inputs, return_dict=False)[0])
        if len(predicted) == 1:
            return predicted[0]
        towards, away = predicted
        return away + GUIDANCE_SCALE * (towards - away)

    def _decode(self, regions: Regions, latents: Any) -> Any:
        import torch

        dtype = getattr(torch, self._geometry.vae_dtype)
        config = self._vae.config
        with self._stage(regions, "vae_decode"):
            latents = latents.to(dtype)
            mean, deviation = (
                torch.tensor(values, device=self._device, dtype=dtype).view(1, -1, 1, 1, 1)
                for values in (config.latents_mean, config.latents_std)
            )
            latents = latents * deviation + mean
            with regions.region("vae"):
                return self._vae.decode(latents, return_dict=False)[0]


def _scheduler(shift: float) -> Any:
    """Return the scheduler that Wan2.1 checkpoints name."""
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
