"""Checks of what a plugin returns: specs are plain dataclasses, so nothing else has looked at their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from perfkit_core.options import Options
from perfkit_core.specs import AnalyticSpec, ModelSpec, Spec, VariantSpec, WorkloadSpec

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a name may look like: it stands on command lines, in paths and in files."""


def spec_name(spec: Spec) -> str:
    """Return the name a spec is asked for by; an analytic model goes by its model's."""
    return spec.model if isinstance(spec, AnalyticSpec) else spec.name


def spec_problem(spec: Spec) -> str:
    """Return what is wrong with a spec, in one line, or an empty string."""
    for item in fields(spec):
        expectation, fits = CHECKS[item.name]
        value: object = getattr(spec, item.name)
        if not fits(value):
            return f"{item.name}={value!r:.60} is not {expectation}"
    if isinstance(spec, ModelSpec):
        return _variant_problem(spec)
    if isinstance(spec, WorkloadSpec):
        unknown = sorted(set(spec.values) - set(spec.options.model_fields))
        return f"values name {unknown[0]!r}, which {spec.options.__name__} does not have" if unknown else ""
    return ""


def _variant_problem(spec: ModelSpec) -> str:
    seen: set[str] = set()
    for variant in spec.variants:
        if not isinstance(variant, VariantSpec):
            return f"variants hold {type(variant).__name__}, not VariantSpec"  # type: ignore[unreachable]
        if not _is_name(variant.name):
            return f"variant {variant.name!r:.60} is not {_A_NAME}"
        if variant.name in seen:
            return f"variant {variant.name!r} is there twice"
        seen.add(variant.name)
    return ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_options(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Options)


def _is_suffixes(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return False
    return all(isinstance(suffix, str) and len(suffix) > 1 and suffix.startswith(".") for suffix in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_peaks(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_number(peak) and peak > 0 for peak in value.values())


def _is_patterns(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return False
    try:
        return all(re.compile(pattern) is not None for pattern in value)
    except (re.error, TypeError):
        return False


_A_NAME = "a name (a lower-case letter, then lower-case letters, digits and _)"
_A_FUNCTION = "a function"
CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": (_A_NAME, _is_name),
    "model": (_A_NAME, _is_name),
    "summary": ("a line of text", _is_text),
    "default_workload": ("a workload name", _is_name),
    "suffix": ("a file suffix with its dot", lambda value: _is_text(value) and value.startswith(".")),
    "suffixes": ("a list of at least one file suffix with its dot", _is_suffixes),
    "options": ("a subclass of perfkit_core.options.Options", _is_options),
    "values": ("a mapping", lambda value: isinstance(value, Mapping)),
    "variants": ("a list of at least one VariantSpec", lambda value: isinstance(value, Sequence) and len(value) > 0),
    "load": (_A_FUNCTION, callable),
    "estimate": (_A_FUNCTION, callable),
    "references": ("a function or None", lambda value: value is None or callable(value)),
    "factory": (_A_FUNCTION, callable),
    "export": (_A_FUNCTION, callable),
    "sniff": (_A_FUNCTION, callable),
    "scrub": ("a function or None", lambda value: value is None or callable(value)),
    "build": ("a function or None", lambda value: value is None or callable(value)),
    "match": ("a list of at least one regular expression", _is_patterns),
    "dense_peaks": ("FLOP/s above 0 by element type", _is_peaks),
    "memory_bandwidth": ("a number above 0", lambda value: _is_number(value) and value > 0),
    "memory": ("a number of bytes above 0", lambda value: isinstance(value, int) and value > 0),
    "source": ("a line of text", lambda value: _is_text(value) and bool(value.strip())),
}
"""Expectation and test of every field of every spec; a new field needs an entry here."""
