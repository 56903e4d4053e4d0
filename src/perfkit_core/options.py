"""Typed, named parameters of models, workloads, backends and exporters (``--set name=value``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from perfkit_core.errors import UsageError, nearest


class Options(BaseModel):
    """Base of every option model: unknown names are refused, values are immutable.

    Give each field a default, a description and, where it has one, its unit. Values arrive as text
    from the command line and as Python values from the API; both are checked the same way.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


AnyOptions = TypeVar("AnyOptions", bound=Options)


def build_options(kind: type[AnyOptions], values: Mapping[str, Any], *, owner: str) -> AnyOptions:
    """Validate ``values`` as ``kind``.

    Args:
        owner: What the options belong to, for the message: ``workload 'p512'``.

    Raises:
        UsageError: A name is unknown (the nearest is suggested) or a value does not fit.
    """
    for name in values:
        if name not in kind.model_fields:
            fix = nearest(name, kind.model_fields) if kind.model_fields else f"{owner} has no parameters: leave it out"
            raise UsageError(f"unknown parameter {name!r} of {owner}", fix=fix)
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(f"{owner}: {_first_problem(error)}", fix=_describe(kind, error)) from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in problem["loc"]) or "values"
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    return f"{name}={problem['input']!s:.80} is not accepted: {message[0].lower()}{message[1:]}"


def _describe(kind: type[Options], error: ValidationError) -> str:
    location = error.errors(include_url=False)[0]["loc"]
    field = kind.model_fields.get(str(location[0])) if location else None
    return f"{location[0]}: {field.description}" if field is not None and field.description else ""
