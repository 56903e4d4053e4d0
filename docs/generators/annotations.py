"""Python annotations in the words of the documentation."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

_WORDS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null", Path: "path", Any: "any"}


def words(annotation: Any, name: Callable[[type], str] = lambda kind: kind.__name__) -> str:
    """Return an annotation as text: ``array of integer``, ``string or null``.

    Args:
        name: Gives the text of a class that is no plain value.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(arguments[0], name)
    if origin in (Union, types.UnionType):
        return " or ".join(words(argument, name) for argument in arguments)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        return f"array of {words(arguments[0], name)}"
    if origin is dict:
        return f"object of {words(arguments[1], name)}"
    return _WORDS[annotation] if annotation in _WORDS else name(annotation)
