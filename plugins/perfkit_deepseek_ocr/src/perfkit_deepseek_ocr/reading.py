"""Pages read for real: images and prompts in, tokens out, under the regions of the cost tree.

Drawing, cutting and normalising the images, and making the prompts, is done before; turning tokens into text
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perfkit_core.errors import MissingError
from perfkit_core.regions import ALL, Regions
from perfkit_core.workload import BuildContext, Workload
from perfkit_deepseek_ocr.batches import geometries_of
from perfkit_deepseek_ocr.estimate import architecture_of, model_options
from perfkit_deepseek_ocr.generation import (
    causal_mask,
    forbid_repeats,
    length_mask,
    refill,
    resize,
    twin,
    with_separators,
)
from perfkit_deepseek_ocr.geometry import Geometry
from perfkit_deepseek_ocr.options import CUDA_GRAPH_MODES, OcrWorkload
from perfkit_deepseek_ocr.page_inputs import FIRST_WORD, batched, pages_of, prompt_of

MEASURED_TOKENS = 32
"""Decode steps that are measured when the user does not say."""


class Prompt(NamedTuple):
    """What all batches that are cut alike have in common, on the device.

    Attributes:
        tokens: Their prompts, sequences x positions.
        picture: Positions of the image's features.
        mask: Attention mask of prefill; None where the kernel takes causality as a flag.
    """

    tokens: Any
    picture: Any
    mask: Any


class PageReading(Workload):
    """DeepSeek-OCR on real modules.

    Args:
        context: Model request, workload options, the built network, device and seed.

    Raises:
        MissingError: The vocabulary is too small for a prompt.
    """

    def __init__(self, context: BuildContext) -> None:
        if not isinstance(context.options, OcrWorkload):
            raise TypeError(f"expected OcrWorkload, got {type(context.options).__name__}")
        self._device, self._seed = context.device, context.seed
        self._options = model_options(context.request)
        self._workload = context.options
        self._decoder = architecture_of(context.request).decoder
        self._geometries = geometries_of(self._options, context.options)
        self._checkpoint = context.request.checkpoint
        self._model = context.components["model"]
        self._watching: Regions | None = None
        self._fixed: Any = None
        if self._decoder.vocabulary < FIRST_WORD + 2:
            raise MissingError(f"a vocabulary of {self._decoder.vocabulary} tokens has no words for a prompt")

    def prepare(self) -> None:
        """Read or draw the pages, put their pixels on the device, and make the prompts."""
        import torch

        self._dtype = getattr(torch, self._options.dtype)
        self._language = self._model.model.language_model
        self._stepper = self._language
        if self._options.compile != "none":
            self._stepper = torch.compile(twin(self._language), mode=self._options.compile, dynamic=False)
        pages = [(page, page.image()) for page in pages_of(self._workload, self._geometries, self._seed)]
        self._pages = [page for page, _ in pages]
        self._described = [page.describe(image) for page, image in pages]
        self._batches = [
            (geometry, [view.to(self._device, self._dtype) for view in views])
            for geometry, views in batched(pages, self._geometries)
        ]
        longest = self._geometries[-1]
        self._positions = torch.arange(longest.prompt + longest.new_tokens, device=self._device)
        self._prompts = {geometry: self._prompt(geometry) for geometry in self._geometries}

    def _prompt(self, geometry: Geometry) -> Prompt:
        image = self._decoder.image_token_id
        tokens = prompt_of(geometry, self._decoder.vocabulary, image, self._seed).to(self._device)
        picture = (tokens[0] == image).nonzero()[:, 0]
        return Prompt(tokens, picture, causal_mask(geometry.prompt, self._options.attention, self._dtype, self._device))

    def step(self, regions: Regions) -> Any:
        """Read all pages once; returns the generated tokens, pages x tokens, of sampled decoding those measured."""
        import torch

        self._watch(regions)
        with torch.no_grad():
            return torch.cat([self._read(regions, geometry, views) for geometry, views in self._batches])

    def save(self, directory: Path) -> None:
        """Write ``predictions.jsonl`` and the pages with the boxes of their answers, when that was asked for.

        The pages are read once more, every token of them, since measured runs may leave tokens out.
        """
        if not self._workload.save_predictions:
            return
        from perfkit_deepseek_ocr.predictions import write_predictions

        self._watching = None
        tokens = self.step(Regions(iterations=ALL, depth=0)).tolist()
        write_predictions(directory, self._pages, tokens, self._checkpoint)

    def close(self) -> None:
        """Let go of network and inputs."""
        self._model = self._language = self._stepper = self._fixed = None
        self._batches, self._prompts = [], {}

    def units(self) -> Mapping[str, float]:
        """Return pages and generated tokens of one run."""
        pages = sum(geometry.pages for geometry in self._geometries)
        return {"pages": pages, "tokens": pages * self._workload.max_new_tokens}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Return every page and the prompt, and how they were made."""
        prompt = {
            "name": "prompt",
            "generator": "torch.randint on cpu",
            "seed": self._seed,
            "text_tokens": self._workload.prompt_tokens,
            "image_tokens": [geometry.image_tokens for geometry in self._geometries],
        }
        decoding = {
            "name": "decoding",
            "method": "greedy, to max_new_tokens: an end-of-sequence token does not end it",
            "no_repeat_ngram": self._workload.no_repeat_ngram,
            "sampling": "where not all steps are measured, those measured are spread evenly over the growing context, "
            "and the cache between them holds what earlier tokens left there, again",
        }
        return [*self._described, prompt, decoding]

    def _watch(self, regions: Regions) -> None:
        """Make regions of the networks' modules, once for every run's regions."""
        if self._watching is regions:
            return
        self._watching = regions
        inner = self._model.model
        regions.watch(inner.vision_tower.sam_encoder, "sam")
        regions.watch(inner.vision_tower.vision_encoder, "clip")
        regions.watch(inner.multi_modal_projector, "projector")
        regions.watch(self._language)  # looking tokens up is part of it, so its region is opened around both
        regions.watch(self._model.lm_head, "lm_head")
        if self._stepper is not self._language:
            regions.watch(self._stepper, "language_model")

    def _read(self, regions: Regions, geometry: Geometry, views: list[Any]) -> Any:
        """Read one batch of pages."""
        import torch

        prompt, start = self._prompts[geometry], geometry.prompt
        tokens = torch.empty(geometry.batch, start + geometry.new_tokens, dtype=torch.long).to(self._device)
        tokens[:, :start] = prompt.tokens
        with regions.region("prefill"):
            cache = self._prefill(regions, geometry, prompt, views, tokens)
        reached, written = 0, [start]

        def reach(step: int) -> None:
            """Bring cache and tokens to where ``step`` finds them."""
            resize(cache, start + reached, start + step)
            if step > reached:
                tokens[:, start + reached + 1 : start + step + 1] = tokens[:, start + reached : start + reached + 1]

        for step in regions.loop("decode", geometry.decode_steps, measure=MEASURED_TOKENS, reach=reach):
            self._decode(regions, cache, tokens, start + step + 1)
            reached = step + 1
            written.append(start + reached)
        return tokens[:, written]

    def _prefill(self, regions: Regions, geometry: Geometry, prompt: Prompt, views: list[Any], tokens: Any) -> Any:
        """Write the first token; returns the cache."""
        from transformers import DynamicCache

        with regions.region("vision"):
            features = self._see(geometry, views)
        cache = DynamicCache(config=self._language.config)
        with regions.region("language_model"):
            embedded = self._language.embed_tokens(prompt.tokens)
            embedded.index_copy_(1, prompt.picture, features)
            hidden = self._language(
                inputs_embeds=embedded,
                position_ids=self._positions[None, : geometry.prompt],
                past_key_values=cache,
                use_cache=True,
                attention_mask={"full_attention": prompt.mask},
            ).last_hidden_state
        self._choose(hidden if geometry.all_positions else hidden[:, -1:], tokens, geometry.prompt)
        return cache if self._options.compile == "none" else self._fixed_cache(cache)

    def _see(self, geometry: Geometry, views: list[Any]) -> Any:
        """Return the features of all pages of a batch, with separators."""
        import torch

        inner, tower = self._model.model, self._model.model.vision_tower
        encoded = []
        for pixels in views:
            local = tower.sam_encoder(pixels).last_hidden_state
            joined = tower.vision_encoder(local).last_hidden_state[:, 1:]
            encoded.append(inner.multi_modal_projector(torch.cat([joined, local.flatten(2).transpose(1, 2)], dim=-1)))
        whole, grid = encoded[0], geometry.tiles
        tiles = encoded[1].chunk(len(whole)) if grid else [None] * len(whole)
        ends = inner.image_newline, inner.view_separator
        return torch.stack([with_separators(page, cut, grid, *ends) for page, cut in zip(whole, tiles, strict=True)])

    def _fixed_cache(self, cache: Any) -> Any:
        """Return the content of ``cache`` in one of fixed length and place, as compiled steps need it."""
        from transformers import StaticCache

        if self._fixed is None:
            self._fixed = StaticCache(config=self._language.config, max_cache_len=len(self._positions))
        refill(self._fixed, cache)
        return self._fixed

    def _decode(self, regions: Regions, cache: Any, tokens: Any, end: int) -> None:
        """Write token ``end`` of every sequence, from the one before it."""
        position = self._positions[end - 1 : end]
        last = tokens[:, end - 1 : end]
        settings = {"position_ids": position[None], "past_key_values": cache, "use_cache": True}
        if self._stepper is self._language:
            with regions.region("language_model"):
                hidden = self._language(
                    inputs_embeds=self._language.embed_tokens(last), attention_mask={"full_attention": None}, **settings
                ).last_hidden_state
        else:
            hidden = self._compiled_step(last, position, settings)
        self._choose(hidden, tokens, end)

    def _compiled_step(self, last: Any, position: Any, settings: Mapping[str, Any]) -> Any:
        import torch

        if self._options.compile in CUDA_GRAPH_MODES:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        mask = length_mask(self._positions, position, self._options.attention, self._dtype)
        output = self._stepper(input_ids=last.clone(), attention_mask={"full_attention": mask}, **settings)
        return output.last_hidden_state

    def _choose(self, hidden: Any, tokens: Any, end: int) -> None:
        """Write the most likely token after each sequence's first ``end`` tokens."""
        scores = self._model.lm_head(hidden)[:, -1]
        tokens[:, end] = forbid_repeats(scores, tokens[:, :end], self._workload.no_repeat_ngram).argmax(-1)
