"""Parameters of backend ``torch``, apart so that listing backends imports little."""

from __future__ import annotations

from pydantic import Field

from perfkit_core.options import Options


class TorchOptions(Options):
    """Parameters of the backend."""

    steps: int = Field(default=2, ge=1, description="measured iterations of every long loop, unless --measure-steps")
    memory: bool = Field(default=False, description="record what operators allocate (true|false)")
