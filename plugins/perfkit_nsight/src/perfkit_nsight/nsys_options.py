"""Parameters of backend ``nsys``, apart so that listing backends imports little."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.options import Options


class NsysOptions(Options):
    """Parameters of the backend."""

    steps: int = Field(default=2, ge=1, description="measured iterations of every long loop, unless --measure-steps")
    graphs: Literal["graph", "node"] = Field(
        default="graph", description="trace a CUDA graph as a whole, or node by node with more overhead (graph|node)"
    )
    per_device: bool = Field(default=True, description="rows per process and device besides their sum (true|false)")
    keep_report: bool = Field(
        default=False,
        description="keep nsys's own report too, which holds the environment of this machine's processes (true|false)",
    )
    keep_env: str = Field(
        default="",
        description="environment variables to pass on although they look secret, or a worker gets few; comma-separated",
    )
