"""Parameters of the example: every field has a default, a unit where it has one, and a description for ``--set``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.options import Options


class MlpOptions(Options):
    """How the model is held."""

    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="element type of weights and activations: bfloat16|float16|float32"
    )


class MlpWorkload(Options):
    """Forward passes, one after the other."""

    batch_size: int = Field(default=1, ge=1, le=1_000_000_000, description="rows in the batch, at least 1")
    passes: int = Field(default=1, ge=1, le=1_000_000_000, description="forward passes in a row, at least 1")


class TsvOptions(Options):
    """What the exporter writes."""

    own: bool = Field(default=False, description="own values of each module instead of inclusive ones (true|false)")
