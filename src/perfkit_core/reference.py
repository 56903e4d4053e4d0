"""How a plugin hands over the real implementation that its cost tree is verified against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ReferenceCall:
    """One distinct call shape.

    Attributes:
        run: Given the reference's module, makes the call; its result is ignored.
        times: How often the whole run makes this call; its counts are multiplied by it.
    """

    run: Callable[[Any], object]
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Real modules and the calls that one run makes of them.

    A module that several references share (a decoder in its two stages) has its parameters in the first.

    Attributes:
        path: Region path of the module, for example ``denoise/step/transformer``.
        module: A ``torch.nn.Module`` with every parameter on torch's meta device: there, and only
            there, the counter sees attention in full.
        calls: Distinct call shapes in the order the run makes them; state may pass from one to the next.
        note: One line for the report when the count is not a plain forward pass.
    """

    path: str
    module: Any
    calls: Iterable[ReferenceCall]
    note: str = ""
