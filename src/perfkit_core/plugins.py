"""Finding plugins and probing each one on its own, so that a broken plugin harms no other.

Every entry point of group ``perfkit`` is probed with a pluggy manager of its own. One manager for all would
stop at the first import error, drop the second of two distributions that use one entry-point name, and accept a
misspelt hook. A plugin whose probe finds a problem registers nothing at all: half a plugin is harder to
understand than none.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast

import pluggy

from perfkit_core import __version__, hookspecs
from perfkit_core.errors import message_of, nearest, one_line
from perfkit_core.spec_checks import spec_name, spec_problem
from perfkit_core.specs import (
    AnalyticSpec,
    BackendSpec,
    DeviceSpec,
    ExporterSpec,
    ImporterSpec,
    ModelSpec,
    Spec,
    WorkloadSpec,
)

CORE = "perfkit-core"
DISABLE = "PERFKIT_DISABLE"
"""Environment variable: plugins to leave out, by entry-point or distribution name, separated by commas."""

Kind = Literal["model", "workload", "analytic", "backend", "exporter", "importer", "device"]
Status = Literal["active", "disabled", "failed", "incompatible"]

HOOKS: Mapping[str, tuple[Kind, type[Spec]]] = {
    "perfkit_models": ("model", ModelSpec),
    "perfkit_workloads": ("workload", WorkloadSpec),
    "perfkit_analytic_models": ("analytic", AnalyticSpec),
    "perfkit_backends": ("backend", BackendSpec),
    "perfkit_exporters": ("exporter", ExporterSpec),
    "perfkit_importers": ("importer", ImporterSpec),
    "perfkit_devices": ("device", DeviceSpec),
}
"""What each hook yields: the kind's name and the type of its specs."""

_log = logging.getLogger("perfkit")


class PluginError(Exception):
    """A plugin breaks a rule of registration; the text says which, in one line."""


@dataclass(frozen=True, kw_only=True)
class PluginStatus:
    """What became of one plugin.

    Attributes:
        name: Entry-point name.
        distribution: Name of the distribution that holds it.
        version: Version of that distribution.
        status: ``active``, or why it is not.
        provides: What it registered, as ``kind:name``; empty unless active.
        error: One line: why it is not active, or which of its names are refused; empty when all is well.
        traceback: Full text of the failure, for ``perfkit plugins --verbose``.
        would_provide: What a failed plugin returned from the hooks that worked, as ``kind:name``.
        package: Top-level import package of the plugin; its ``templates/`` folder holds templates.
    """

    name: str
    distribution: str
    version: str
    status: Status
    provides: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""
    would_provide: tuple[str, ...] = ()
    package: str = ""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A plugin's status and the specs it may register, by kind; none unless it is active."""

    status: PluginStatus
    specs: Mapping[Kind, Sequence[Spec]] = field(default_factory=dict)


def normalised(distribution: str) -> str:
    """Return a distribution name in the one spelling that compares equal (PyPA name normalisation)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def probe_plugins() -> list[Probed]:
    """Probe every installed plugin: core's own first, then by distribution and entry-point name."""
    found = sorted((_Candidate(point) for point in entry_points(group=hookspecs.PROJECT)), key=_Candidate.place)
    disabled = [name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()]
    known = {label for candidate in found for label in candidate.labels}
    for name in disabled:
        if _label(name) not in known:
            _log.warning("%s names %r, which is not an installed plugin: %s", DISABLE, name, nearest(name, known))
    off = {_label(name) for name in disabled}
    return [_probe(candidate, disabled=not off.isdisjoint(candidate.labels)) for candidate in found]


class _Candidate:
    """An entry point with what its distribution says of itself, read once: every property of it parses the file."""

    def __init__(self, point: EntryPoint) -> None:
        self.point = point
        self.problem: Exception | None = None
        metadata = Message()
        try:
            if point.dist is not None:
                metadata = cast("Message", point.dist.metadata)
        except Exception as error:  # noqa: BLE001 - unreadable metadata of one plugin is that plugin's failure
            self.problem = error
        self.distribution: str = metadata["Name"] or "unknown"
        self.version: str = metadata["Version"] or "unknown"
        self.requirements: list[str] = metadata.get_all("Requires-Dist", [])

    @property
    def labels(self) -> tuple[str, str, str]:
        """The names by which a user can point at this plugin."""
        distribution = normalised(self.distribution)
        return self.point.name, distribution, f"{distribution}:{self.point.name}"

    def place(self) -> tuple[bool, str, str]:
        """Where it stands in the list of plugins."""
        distribution = normalised(self.distribution)
        return distribution != CORE, distribution, self.point.name


def _label(text: str) -> str:
    """Normalise what a user wrote; an entry-point name (``a_b``) is kept, a distribution (``A.b``) is not."""
    distribution, colon, name = text.partition(":")
    if colon:
        return f"{normalised(distribution)}:{name}"
    return text if re.fullmatch(r"[a-z][a-z0-9_]*", text) else normalised(text)


def _probe(candidate: _Candidate, *, disabled: bool) -> Probed:
    def status(kind: Status, **values: Any) -> PluginStatus:
        return PluginStatus(
            name=candidate.point.name,
            distribution=candidate.distribution,
            version=candidate.version,
            status=kind,
            package=candidate.point.value.partition(":")[0].partition(".")[0].strip(),
            **values,
        )

    if disabled:
        return Probed(status=status("disabled", error=f"turned off by {DISABLE}"))
    specs: dict[Kind, Sequence[Spec]] = {}
    try:
        refused = _excluded_by(candidate)
        if refused:
            return Probed(status=status("incompatible", error=refused))
        # A plugin that prints would spoil the JSON on standard output.
        with contextlib.redirect_stdout(sys.stderr):
            _collect(candidate.point, specs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit included; it is reported
        text = "".join(traceback.format_exception(error))
        return Probed(status=status("failed", error=_one_line(error), traceback=text, would_provide=_names(specs)))
    return Probed(status=status("active", provides=_names(specs)), specs=specs)


def _excluded_by(candidate: _Candidate) -> str:
    """Return why this version of core is outside the plugin's own requirement on it, or an empty string."""
    from packaging.requirements import Requirement

    if candidate.problem is not None:
        raise candidate.problem
    for text in candidate.requirements:
        # Parsing is slow, and most requirements are on something else.
        if not normalised(text).startswith(CORE):
            continue
        requirement = Requirement(text)
        if normalised(requirement.name) != CORE:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return f"needs {CORE}{requirement.specifier}, but this is {CORE} {__version__}"
    return ""


def _collect(point: EntryPoint, specs: dict[Kind, Sequence[Spec]]) -> None:
    """Fill ``specs`` from the plugin's hooks.

    Every hook is called even after a problem, so that the names of a failed plugin are known where possible.

    Raises:
        PluginError: The plugin breaks a rule; anything that its own code raises comes through as it is.
    """
    if EntryPoint.pattern.match(point.value) is None:
        raise PluginError(f"entry point {point.value!r} is neither a module nor module:attribute")
    plugin = point.load()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=point.name)
    first: BaseException | None = next(_mistakes(manager, plugin, point), None)
    for hook, (kind, expected) in HOOKS.items():
        try:
            specs[kind] = _call(manager, hook, kind, expected)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below, once every hook was asked
            first = first or error
    if first is not None:
        raise first


def _mistakes(manager: pluggy.PluginManager, plugin: Any, point: EntryPoint) -> Iterator[PluginError]:
    """Yield hooks that nothing would ever call: unknown names, and known names without the marker."""
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        for caller in manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                advice = nearest(caller.name, HOOKS)
                yield _located(f"unknown hook {caller.name!r} in {point.value}: {advice}", getattr(plugin, caller.name))
    for hook in HOOKS:
        function = getattr(plugin, hook, None)
        if inspect.isroutine(function) and not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            yield _located(f"hook {hook!r} in {point.value} is not marked with @hookimpl", function)


def _call(manager: pluggy.PluginManager, hook: str, kind: Kind, expected: type[Spec]) -> Sequence[Spec]:
    """Call one hook of one plugin and check what it returns.

    Raises:
        PluginError: It is no list of valid specs, or names one thing twice.
    """
    caller = getattr(manager.hook, hook)
    implementations = caller.get_hookimpls()
    if not implementations:
        return ()
    results = caller() or [None]  # pluggy leaves out an implementation that returned None
    function = implementations[0].function
    names: set[object] = set()
    for result in results:
        if not isinstance(result, list | tuple):
            raise _located(f"{hook} returned {_type(result)}, not a list of {expected.__name__}", function)
        for item in result:
            if not isinstance(item, expected):
                raise _located(f"{hook} returned a list with {_type(item)} in it, not {expected.__name__}", function)
            problem = spec_problem(item)
            if problem:
                raise _located(f"{hook}: {expected.__name__} {spec_name(item)!r}: {problem}", function)
            key = (item.model, item.name) if isinstance(item, WorkloadSpec) else spec_name(item)
            if key in names:
                raise _located(f"{hook} returned the {kind} {spec_name(item)!r} twice", function)
            names.add(key)
    return [item for result in results for item in result]


def _located(message: str, function: Any) -> PluginError:
    """Return the problem with a note of where the function stands; the note shows in the traceback."""
    problem = PluginError(message)
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is not None:
        problem.add_note(f"defined in {code.co_filename}, line {code.co_firstlineno}")
    return problem


def _type(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _names(specs: Mapping[Kind, Sequence[Spec]]) -> tuple[str, ...]:
    return tuple(f"{kind}:{spec_name(spec)}" for kind, found in specs.items() for spec in found)


def _one_line(error: BaseException) -> str:
    text = message_of(error) if isinstance(error, PluginError) else one_line(error)
    return text if len(text) <= 300 else text[:297] + "..."
