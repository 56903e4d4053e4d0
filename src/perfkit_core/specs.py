"""What a plugin registers: frozen, keyword-only specifications, one kind per hook.

Specs are cheap to build. Anything heavy (torch, a parser, a template engine) is imported inside the
callables they carry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.costtree import CostTree
from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.reference import Reference
    from perfkit_core.rundir import Run, RunWriter


@dataclass(frozen=True, kw_only=True)
class VariantSpec:
    """One size or flavour of a model.

    Attributes:
        name: Name for ``--variant``.
        summary: One line.
        default_workload: Workload to use with this variant when none is named; empty for the model's own.
    """

    name: str
    summary: str
    default_workload: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model to build or to estimate.

    Attributes:
        variant: Name of one of the model's variants.
        options: The model's options, of the type its spec names.
        checkpoint: Directory to read the architecture (and weights) from instead of bundled metadata.
    """

    variant: str
    options: Options
    checkpoint: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model that perfkit can talk about.

    Attributes:
        name: Unique name for ``--model``.
        summary: One line for ``perfkit list models``.
        variants: Variants, the default one first.
        default_workload: Workload used when none is named.
        options: Model options (element types, placement…).
        load: Builds the real modules without weights, on torch's meta device, by component name.
    """

    name: str
    summary: str
    variants: Sequence[VariantSpec]
    default_workload: str
    options: type[Options]
    load: Callable[[ModelRequest], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """Named inputs for one model.

    Attributes:
        name: Name for ``--workload``, unique among the workloads of its model.
        model: Name of the model it feeds.
        summary: One line.
        options: Workload parameters; ``--set`` overrides them.
        values: This workload's values where they differ from the defaults of ``options``.
    """

    name: str
    model: str
    summary: str
    options: type[Options]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AnalyticSpec:
    """The analytic model of a model.

    Attributes:
        model: Name of the model it describes.
        estimate: (model request, workload options) to cost tree; needs no torch, GPU or weights.
        references: (model request, workload options) to the real modules on the meta device and the
            calls that one run makes of them; used by ``perfkit verify``. None: nothing to verify against.
    """

    model: str
    estimate: Callable[[ModelRequest, Any], CostTree]
    references: Callable[[ModelRequest, Any], Iterable[Reference]] | None = None


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a backend is given.

    Attributes:
        model: The model's spec.
        request: Variant, options and checkpoint.
        workload: The workload's spec.
        workload_options: Validated workload parameters.
        analytic: The model's analytic spec, or None when no plugin provides one.
        options: Validated options of the backend itself.
        writer: Where to write artifacts; paths are relative to the run directory.
        tree: The run's cost tree, which checking the inputs has built; None when building it failed.
    """

    model: ModelSpec
    request: ModelRequest
    workload: WorkloadSpec
    workload_options: Options
    analytic: AnalyticSpec | None
    options: Options
    writer: RunWriter
    tree: CostTree | None = None


class ProfilerBackend(ABC):
    """One way to learn what a run costs."""

    def check(self) -> Sequence[str]:
        """Return what is missing on this machine, one line each; shown by ``perfkit doctor``."""
        return ()

    @abstractmethod
    def collect(self, context: RunContext) -> None:
        """Do the pass and write its artifacts through ``context.writer``."""


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """A profiler backend.

    Attributes:
        name: Unique name for ``--backend``.
        summary: One line.
        factory: Builds the backend.
        options: Backend parameters, given as ``--set <backend>.<name>=value``.
    """

    name: str
    summary: str
    factory: Callable[[], ProfilerBackend]
    options: type[Options] = Options


@dataclass(frozen=True, kw_only=True)
class ExporterSpec:
    """A writer of a finished run in another format.

    Attributes:
        name: Unique name for ``--exporter``.
        summary: One line.
        suffix: File suffix of the output, with the dot.
        export: (run, output path, options) to the files written.
        options: Exporter parameters, given as ``--set <exporter>.<name>=value``.
    """

    name: str
    summary: str
    suffix: str
    export: Callable[[Run, Path, Any], Sequence[Path]]
    options: type[Options] = Options


Spec = ModelSpec | WorkloadSpec | AnalyticSpec | BackendSpec | ExporterSpec
