"""What else a model's options could be set to: advice names values that the model accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

if TYPE_CHECKING:
    from perfkit_core.options import Options

PLAIN: Final = ("none", "math", "eager")
"""Values that stand for the plain implementation, which is there to compare with and not to be faster."""


@dataclass(frozen=True)
class OptionValues:
    """The options of a run's model, as the plugin that is installed has them.

    Attributes:
        parameters: Resolved parameters of the run.
        kind: The model's options; None where no plugin of that name is active, so that only the values used are known.
    """

    parameters: Mapping[str, object]
    kind: type[Options] | None = field(default=None)

    @property
    def is_known(self) -> bool:
        """Whether it is known what the options could be set to."""
        return self.kind is not None

    def others(self, name: str) -> tuple[str, ...]:
        """Return the values of an option, other than the one in use and plain ones, that fit the other parameters."""
        found = self.kind.model_fields.get(name) if self.kind is not None else None
        if found is None or name not in self.parameters or get_origin(found.annotation) is not Literal:
            return ()
        values = [str(value) for value in get_args(found.annotation)]
        return tuple(
            value
            for value in values
            if value not in PLAIN and value != str(self.parameters[name]) and self._fits(name, value)
        )

    def _fits(self, name: str, value: str) -> bool:
        from pydantic import ValidationError

        if self.kind is None:
            return False
        own: dict[str, Any] = {one: now for one, now in self.parameters.items() if one in self.kind.model_fields}
        try:
            self.kind.model_validate({**own, name: value})
        except ValidationError:  # it does not go with the other parameters
            return False
        return True
