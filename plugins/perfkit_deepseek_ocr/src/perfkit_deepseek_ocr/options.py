"""Parameters of the DeepSeek-OCR model and of its page-reading workloads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from perfkit_core.options import Options
from perfkit_deepseek_ocr.geometry import Mode, parse_grid

ComputeType = Literal["bfloat16", "float16", "float32"]
Attention = Literal["sdpa", "eager"]
Experts = Literal["grouped_mm", "batched_mm", "eager"]
CompileMode = Literal["none", "default", "reduce-overhead", "max-autotune"]

CUDA_GRAPH_MODES = frozenset({"reduce-overhead", "max-autotune"})
"""Modes of torch.compile that record CUDA graphs."""


class OcrModelOptions(Options):
    """How the model is held and called."""

    dtype: ComputeType = Field(default="bfloat16", description="element type of all networks: bfloat16|float16|float32")
    head_positions: Literal["last", "all"] = Field(
        default="last", description="positions that prefill runs the output head on: last (what decoding needs)|all"
    )
    attention: Attention = Field(
        default="sdpa",
        description="attention of all networks when measured: sdpa (torch chooses)|eager (plain matmuls)",
    )
    experts: Experts = Field(
        default="grouped_mm",
        description=(
            "routed experts when measured: grouped_mm (one product for all)|batched_mm (weights copied for every "
            "token: few tokens only)|eager (a loop over experts)"
        ),
    )
    compile: CompileMode = Field(
        default="none",
        description="torch.compile of the language model in decode when measured: " + "|".join(get_args(CompileMode)),
    )

    @model_validator(mode="after")
    def _fit_together(self) -> OcrModelOptions:
        if self.compile == "none":
            return self
        if self.experts == "eager":
            raise ValueError(f"experts=eager loops over data: compile={self.compile} needs experts=grouped_mm")
        if self.compile in CUDA_GRAPH_MODES and self.experts == "grouped_mm" and self.dtype != "bfloat16":
            raise ValueError(
                f"experts=grouped_mm is compiled for bfloat16 alone: compile={self.compile} with dtype={self.dtype} "
                "needs experts=batched_mm"
            )
        return self


class OcrWorkload(Options):
    """Reading pages: one image and a short instruction each, answered token by token."""

    mode: Mode = Field(
        default="gundam",
        description="pixels a side: tiny (512)|small (640)|base (1024)|large (1280)|gundam (1024, and tiles of 640)",
    )
    grid: str = Field(
        default="2x2", description="columns x rows of 640-pixel tiles in mode gundam, 2 to 9 tiles, like 2x3"
    )
    images: str = Field(
        default="",
        description=(
            "folder of png and jpg images, a text file that lists some, or one image; pages and grid are then theirs; "
            "empty: pages are drawn"
        ),
    )
    pages: int = Field(default=1, ge=1, le=1_000_000, description="pages to read, at least 1")
    batch_size: int = Field(
        default=1, ge=1, le=1_000_000, description="pages read at once, at least 1; batches are always full"
    )
    prompt_tokens: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="tokens of the prompt's text, with begin-of-sequence, at least 1",
    )
    max_new_tokens: int = Field(
        default=512, ge=1, le=1_000_000, description="tokens generated for every page, at least 1"
    )
    no_repeat_ngram: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="tokens of a sequence that must not come twice when measured; 0: any may",
    )

    save_predictions: bool = Field(
        default=False,
        description=(
            "after measuring, read all pages once more and write predictions.jsonl and the pages with the boxes found "
            "(true|false)"
        ),
    )

    @field_validator("images")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        """Keep the whole path: a run can then be repeated from another directory."""
        return str(Path(value).expanduser().absolute()) if value else value

    @field_validator("grid")
    @classmethod
    def _is_a_grid(cls, value: str) -> str:
        columns, rows = parse_grid(value)
        return f"{columns}x{rows}"
