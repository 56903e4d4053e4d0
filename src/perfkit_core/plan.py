"""From settings to a plan: every name looked up, every parameter checked, nothing written yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from perfkit_core.backend import MeasureOptions
from perfkit_core.choosing import check_backend, choose_backends, measure_options
from perfkit_core.errors import PLUGIN_FAULTS, MissingError, PerfkitError, UsageError, nearest
from perfkit_core.machine import CPU, machine
from perfkit_core.options import Options, build_options
from perfkit_core.settings import COMMAND_LINE, DEFAULT, ResolvedSettings, Settings
from perfkit_core.specs import (
    AnalyticSpec,
    BackendSpec,
    ExporterSpec,
    ModelRequest,
    ModelSpec,
    VariantSpec,
    WorkloadSpec,
)
from perfkit_core.tree_checks import check_tree

if TYPE_CHECKING:
    from perfkit_core.costtree import CostTree
    from perfkit_core.registry import Registry

ANALYTIC = "analytic"
"""The backend that every run begins with."""

_log = logging.getLogger(__name__)
_Spec = TypeVar("_Spec", BackendSpec, ExporterSpec)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model on a workload, fully resolved.

    Attributes:
        model: The model's spec.
        request: Variant, model options and checkpoint.
        workload: The workload's spec.
        workload_options: Validated workload parameters.
        analytic: The analytic model.
    """

    model: ModelSpec
    request: ModelRequest
    workload: WorkloadSpec
    workload_options: Options
    analytic: AnalyticSpec

    def parameters(self) -> dict[str, Any]:
        """Return every resolved model and workload parameter as plain values."""
        return {
            **self.request.options.model_dump(mode="json"),
            **self.workload_options.model_dump(mode="json"),
        }

    def estimate(self) -> CostTree:
        """Return the cost tree of the whole run.

        Raises:
            ToolError: What the analytic model returned is no cost tree, or one with values that make no sense.
        """
        tree = self.analytic.estimate(self.request, self.workload_options)
        check_tree(tree, model=self.model.name)
        return tree


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a run needs to know.

    Attributes:
        subject: What is analysed.
        backends: Backends with their options, in the order they run.
        exporters: Exporters with their options.
        settings: The settings with everything resolved: what ``config.yaml`` holds.
        origins: Where each setting came from.
        tree: The cost tree, built while checking the inputs; None when the analytic model failed.
        measure: Device, repeats and sampling of measuring passes.
        notes: What the reader must know about how the run was planned.
    """

    subject: Subject
    backends: Sequence[tuple[BackendSpec, Options]]
    exporters: Sequence[tuple[ExporterSpec, Options]]
    settings: Settings
    origins: Mapping[str, str]
    tree: CostTree | None
    measure: MeasureOptions
    notes: Sequence[str]


def resolve_plan(resolved: ResolvedSettings, registry: Registry) -> Plan:
    """Check everything a run is asked for and build its cost tree.

    Raises:
        PerfkitError: A name or value does not fit, or a plugin or checkpoint is missing.
    """
    settings = resolved.settings
    here = machine(_device(settings))
    chosen, notes = choose_backends(settings, here, _named(settings, registry)[2])
    selected = _distinct("backend", (ANALYTIC, *chosen), registry.backend)
    names, backends = tuple(selected), list(selected.values())
    exporters = list(_distinct("exporter", settings.exporters, registry.exporter).values())
    owners = [*(spec.name for spec in backends), *(spec.name for spec in exporters)]
    prefixed, plain, unused = _split(resolved, owners, registry)
    notes = (*notes, *unused)
    subject = resolve_subject(settings, plain, registry)
    backend_options = _options_of(backends, prefixed, "backend")
    exporter_options = _options_of(exporters, prefixed, "exporter")
    for backend in backends:
        check_backend(backend, registry.distribution_of(backend), here, subject.workload)
    _check_template(settings, subject.model.name)
    parameters = subject.parameters()
    for owner, options in zip(owners, (*backend_options, *exporter_options), strict=True):
        parameters |= {f"{owner}.{name}": value for name, value in options.model_dump(mode="json").items()}
    return Plan(
        subject=subject,
        backends=list(zip(backends, backend_options, strict=True)),
        exporters=list(zip(exporters, exporter_options, strict=True)),
        settings=_completed(settings, subject, parameters, names).model_copy(update={"device": here.device}),
        origins=_completed_origins(resolved.origins, settings, subject, parameters),
        tree=_checked_tree(subject),
        measure=measure_options(settings, here),
        notes=notes,
    )


def _device(settings: Settings) -> str:
    """Return the device to look for: where nothing is executed, one that is not there does not matter."""
    executed = [name for name in settings.backends if name.rpartition(":")[2] != ANALYTIC]
    return CPU if settings.backends and not executed else settings.device


def resolve_subject(settings: Settings, parameters: Mapping[str, Any], registry: Registry) -> Subject:
    """Look up model, variant and workload and check their parameters.

    Raises:
        UsageError: A name or value is unknown or does not fit.
        MissingError: A plugin or the checkpoint directory is missing.
    """
    model, variant, workload = _named(settings, registry)
    workload_values, model_values = _assign(parameters, workload, model)
    return Subject(
        model=model,
        request=ModelRequest(
            variant=variant.name,
            options=build_options(model.options, model_values, owner=f"model {model.name!r}"),
            checkpoint=_checkpoint(settings.checkpoint),
            seed=settings.seed,
        ),
        workload=workload,
        workload_options=build_options(
            workload.options, {**workload.values, **workload_values}, owner=f"workload {workload.name!r}"
        ),
        analytic=registry.analytic(settings.model or model.name),
    )


def _named(settings: Settings, registry: Registry) -> tuple[ModelSpec, VariantSpec, WorkloadSpec]:
    """Look up what the settings name, defaults filled in."""
    if settings.model is None:
        raise UsageError("no model is named", fix="--model NAME; perfkit list models shows them")
    model = registry.model(settings.model)
    variant = _variant(model, settings.variant)
    name = settings.workload or variant.default_workload or model.default_workload
    return model, variant, registry.workload(name, model=settings.model)


def _variant(model: ModelSpec, name: str | None) -> VariantSpec:
    variants = {variant.name: variant for variant in model.variants}
    if name is None:
        return model.variants[0]
    if name not in variants:
        raise UsageError(f"model {model.name!r} has no variant {name!r}", fix=nearest(name, variants))
    return variants[name]


def _checkpoint(path: Path | None) -> Path | None:
    if path is None:
        return None
    try:
        if path.is_dir():
            return path.resolve()
        reason = "is not a directory" if path.exists() else "does not exist"
    except (OSError, ValueError) as error:  # a name too long, a parent that may not be searched, a null character
        reason = f"cannot be read: {getattr(error, 'strerror', error)}"
    raise MissingError(
        f"checkpoint {path!s:.200} {reason}", fix="--checkpoint names the directory of the model's files"
    )


def _distinct(kind: str, selectors: Iterable[str], find: Callable[[str], _Spec]) -> dict[str, _Spec]:
    """Look up specs, each once; two of one name would write to the same places in the run directory."""
    found: dict[str, _Spec] = {}
    owners: dict[str, str] = {}
    for selector in selectors:
        spec = find(selector)
        first = owners.setdefault(spec.name, selector)
        if found.setdefault(first, spec) is not spec:
            raise UsageError(f"{kind}s {first!r} and {selector!r} have the same name", fix="choose one of them")
    return found


def _split(
    resolved: ResolvedSettings, selected: Iterable[str], registry: Registry
) -> tuple[dict[str, dict[str, Any]], dict[str, Any], list[str]]:
    """Separate ``backend.name`` values, by their prefix, from those of workload and model.

    Values that a settings file has for a backend or exporter that takes no part are left out, which a note says:
    the configuration of one run also serves another with fewer of them.
    """
    prefixed: dict[str, dict[str, Any]] = {name: {} for name in selected}
    plain: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in resolved.settings.set.items():
        owner, dot, rest = name.partition(".")
        if not dot:
            plain[name] = value
        elif owner in prefixed:
            prefixed[owner][rest] = value
        else:
            known = [*(one.spec.name for one in registry.backends()), *(one.spec.name for one in registry.exporters())]
            origin = resolved.origins.get(f"set.{name}", COMMAND_LINE)
            if owner in known and origin != COMMAND_LINE:
                notes.append(f"{name} of {origin} is not used: {owner} takes no part in this run")
                continue
            fix = f"add --backend or --exporter {owner}" if owner in known else nearest(owner, known)
            raise UsageError(f"{name!r}: no backend or exporter {owner!r} takes part in this run", fix=fix)
    return prefixed, plain, notes


def _assign(
    values: Mapping[str, Any], workload: WorkloadSpec, model: ModelSpec
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give each parameter to the workload or, if that has no such name, to the model."""
    for_workload: dict[str, Any] = {}
    for_model: dict[str, Any] = {}
    for name, value in values.items():
        if name in workload.options.model_fields:
            for_workload[name] = value
        elif name in model.options.model_fields:
            for_model[name] = value
        else:
            known = {*workload.options.model_fields, *model.options.model_fields}
            raise UsageError(
                f"unknown parameter {name!r} of workload {workload.name!r} and model {model.name!r}",
                fix=nearest(name, known),
            )
    return for_workload, for_model


def _options_of(
    specs: Sequence[BackendSpec] | Sequence[ExporterSpec], values: Mapping[str, Mapping[str, Any]], kind: str
) -> list[Options]:
    return [build_options(spec.options, values[spec.name], owner=f"{kind} {spec.name!r}") for spec in specs]


def _check_template(settings: Settings, model: str) -> None:
    """Refuse a report template that is missing or malformed; compiled here, it is ready at the end of the run."""
    from perfkit_core.report import STAKEHOLDER, SUMMARY, check_template

    for template in (SUMMARY, STAKEHOLDER, settings.template):
        check_template(template, template_dir=settings.template_dir, model=model)


def _checked_tree(subject: Subject) -> CostTree | None:
    try:
        return subject.estimate()
    except PerfkitError:
        raise
    except PLUGIN_FAULTS:  # the analytic pass meets the same fault again and records it
        _log.debug("the analytic model of %s failed", subject.model.name, exc_info=True)
        return None


def _completed(settings: Settings, subject: Subject, parameters: dict[str, Any], backends: tuple[str, ...]) -> Settings:
    return settings.model_copy(
        update={
            "variant": subject.request.variant,
            "workload": subject.workload.name if settings.workload is None else settings.workload,
            "checkpoint": subject.request.checkpoint,
            "backends": backends,
            "template_dir": settings.template_dir.resolve() if settings.template_dir else None,
            "set": parameters,
        }
    )


def _completed_origins(
    origins: Mapping[str, str], settings: Settings, subject: Subject, parameters: Mapping[str, Any]
) -> dict[str, str]:
    completed = dict(origins)
    if settings.workload is None:
        completed["workload"] = f"{DEFAULT} of {subject.model.name}"
    for name in parameters:
        by_workload = name in subject.workload.values
        completed.setdefault(f"set.{name}", f"workload {subject.workload.name}" if by_workload else DEFAULT)
    return completed
