"""Pages read for real: images and prompts in, tokens out, under the regions of the cost tree.

Drawing, cutting and normalising the images, and making the prompts, is done before; turning tokens into text
is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perfkit_core.errors import MissingError
from perfkit_core.regions import Regions
from perfkit_core.workload import BuildContext, Workload
from perfkit_deepseek_ocr.estimate import architecture_of, geometry_of, model_options
from perfkit_deepseek_ocr.generation import (
    causal_mask,
    forbid_repeats,
    length_mask,
    refill,
    twin,
    with_separators,
)
from perfkit_deepseek_ocr.images import describe_image, find_images, open_image
from perfkit_deepseek_ocr.options import CUDA_GRAPH_MODES, OcrWorkload
from perfkit_deepseek_ocr.pages import describe_page, draw_page, page_size
from perfkit_deepseek_ocr.pixels import global_view, tile_views

BEGIN = 0
"""Token that begins every sequence."""

FIRST_WORD = 2
"""Tokens below begin or end a sequence."""

MEASURED_TOKENS = 32
"""Decode steps that are measured when the user does not say."""


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
        self._geometry = geometry_of(self._options, context.options)
        self._model = context.components["model"]
        self._watching: Regions | None = None
        self._fixed: Any = None
        if self._decoder.vocabulary < FIRST_WORD + 2:
            raise MissingError(f"a vocabulary of {self._decoder.vocabulary} tokens has no words for a prompt")

    def prepare(self) -> None:
        """Read or draw the pages, put their pixels on the device, and make the prompts."""
        import torch

        self._dtype = getattr(torch, self._geometry.dtype)
        self._language = self._model.model.language_model
        self._stepper = self._language
        if self._options.compile != "none":
            self._stepper = torch.compile(twin(self._language), mode=self._options.compile, dynamic=False)
        geometry = self._geometry
        self._pages: list[Mapping[str, Any]] = []
        views = self._views()
        self._batches = [
            self._stacked(views[start : start + geometry.batch]) for start in range(0, len(views), geometry.batch)
        ]
        self._prompt = self._make_prompt().to(self._device)
        self._picture = self._prompt[0] == self._decoder.image_token_id
        self._picture_at = self._picture.nonzero()[:, 0]
        self._positions = torch.arange(geometry.prompt + geometry.new_tokens, device=self._device)
        self._mask = causal_mask(geometry.prompt, self._options.attention, self._dtype, self._device)

    def step(self, regions: Regions) -> Any:
        """Read all pages once; returns the generated tokens, pages x tokens."""
        import torch

        self._watch(regions)
        with torch.no_grad():
            return torch.cat([self._read(regions, views) for views in self._batches])

    def close(self) -> None:
        """Let go of network and inputs."""
        self._model = self._language = self._stepper = self._fixed = None
        self._batches = []

    def units(self) -> Mapping[str, float]:
        """Return pages and generated tokens of one run."""
        pages = self._geometry.batch * self._geometry.batches
        return {"pages": pages, "tokens": pages * self._geometry.new_tokens}

    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Return every page and the prompt, and how they were made."""
        prompt = {
            "name": "prompt",
            "generator": "torch.randint on cpu",
            "seed": self._seed,
            "text_tokens": self._geometry.text_tokens,
            "image_tokens": self._geometry.image_tokens,
        }
        decoding = {
            "name": "decoding",
            "method": "greedy, to max_new_tokens: an end-of-sequence token does not end it",
            "no_repeat_ngram": self._workload.no_repeat_ngram,
        }
        return [*self._pages, prompt, decoding]

    def _views(self) -> list[tuple[Any, list[Any]]]:
        """Return the global view and the tiles of every page, and note where the pages come from."""
        geometry = self._geometry
        pages = self._read_files() if self._workload.images else self._draw()
        return [
            (global_view(image, geometry.mode), tile_views(image, geometry.tiles) if geometry.tiles else [])
            for image in pages
        ]

    def _read_files(self) -> Iterator[Any]:
        for index, found in enumerate(find_images(self._workload.images)):
            image = open_image(found.path)
            self._pages.append({"name": f"page {index}", **describe_image(found.path, image)})
            yield image

    def _draw(self) -> Iterator[Any]:
        geometry = self._geometry
        for index in range(geometry.batch * geometry.batches):
            image = draw_page(index, page_size(geometry.mode, geometry.tiles), self._seed)
            self._pages.append({"name": f"page {index}", **describe_page(index, image, self._seed)})
            yield image

    def _stacked(self, pages: list[tuple[Any, list[Any]]]) -> list[Any]:
        """Return one batch of pixels for every view size, in the order the encoders get them."""
        import torch

        sizes = [[whole for whole, _ in pages], [tile for _, tiles in pages for tile in tiles]]
        return [torch.stack(images).to(self._device, self._dtype) for images in sizes if images]

    def _make_prompt(self) -> Any:
        """Return the tokens of every sequence: its beginning, the image's placeholders, the instruction."""
        import torch

        geometry, image = self._geometry, self._decoder.image_token_id
        generator = torch.Generator().manual_seed(self._seed)
        size = (geometry.batch, geometry.text_tokens - 1)
        words = torch.randint(FIRST_WORD, self._decoder.vocabulary - 1, size, generator=generator)
        words += words >= image  # every other token is as likely
        begin = torch.full((geometry.batch, 1), BEGIN)
        return torch.cat([begin, torch.full((geometry.batch, geometry.image_tokens), image), words], dim=1)

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

    def _read(self, regions: Regions, views: list[Any]) -> Any:
        """Read one batch of pages."""
        import torch

        geometry = self._geometry
        tokens = torch.empty(geometry.batch, geometry.prompt + geometry.new_tokens, dtype=torch.long).to(self._device)
        tokens[:, : geometry.prompt] = self._prompt
        with regions.region("prefill"):
            cache = self._prefill(regions, views, tokens)
        end = geometry.prompt + 1
        for _ in regions.loop("decode", geometry.decode_steps, measure=MEASURED_TOKENS):
            self._decode(regions, cache, tokens, end)
            end += 1
        return tokens[:, geometry.prompt : end]

    def _prefill(self, regions: Regions, views: list[Any], tokens: Any) -> Any:
        """Write the first token; returns the cache."""
        from transformers import DynamicCache

        geometry = self._geometry
        with regions.region("vision"):
            features = self._see(views)
        cache = DynamicCache(config=self._language.config)
        with regions.region("language_model"):
            embedded = self._language.embed_tokens(self._prompt)
            embedded.index_copy_(1, self._picture_at, features)
            hidden = self._language(
                inputs_embeds=embedded,
                position_ids=self._positions[None, : geometry.prompt],
                past_key_values=cache,
                use_cache=True,
                attention_mask={"full_attention": self._mask},
            ).last_hidden_state
        self._choose(hidden if geometry.all_positions else hidden[:, -1:], tokens, geometry.prompt)
        return cache if self._options.compile == "none" else self._fixed_cache(cache)

    def _see(self, views: list[Any]) -> Any:
        """Return the features of all pages of a batch, with separators."""
        import torch

        inner, tower = self._model.model, self._model.model.vision_tower
        encoded = []
        for pixels in views:
            local = tower.sam_encoder(pixels).last_hidden_state
            joined = tower.vision_encoder(local).last_hidden_state[:, 1:]
            encoded.append(inner.multi_modal_projector(torch.cat([joined, local.flatten(2).transpose(1, 2)], dim=-1)))
        whole, grid = encoded[0], self._geometry.tiles
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
