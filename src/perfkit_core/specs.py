"""What a plugin registers: frozen, keyword-only specifications, one kind per hook.

Specs are cheap to build. Anything heavy (torch, a parser, a template engine) is imported inside the
callables they carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.costtree import CostTree
from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.backend import ProfilerBackend
    from perfkit_core.importer import ImportContext, Imported
    from perfkit_core.reference import Reference
    from perfkit_core.rundir import Run
    from perfkit_core.workload import BuildContext, Workload


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
        device: Where to build the modules: ``meta`` (no weights), ``cpu`` or ``cuda:N``.
        seed: Seed of random weights, used where there is no checkpoint.
    """

    variant: str
    options: Options
    checkpoint: Path | None = None
    device: str = "meta"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model that perfkit can talk about.

    Attributes:
        name: Unique name for ``--model``.
        summary: One line for ``perfkit list models``.
        variants: Variants, the default one first.
        default_workload: Workload used when none is named.
        options: Model options (element types, placement…).
        load: Builds the real modules on the request's device, by component name: on ``meta`` without weights;
            elsewhere with the checkpoint's weights, or random ones from the seed when there is no checkpoint.
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
        build: Makes the workload ready to run on real modules, in the worker. None: it can be estimated only.
    """

    name: str
    model: str
    summary: str
    options: type[Options]
    values: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[[BuildContext], Workload] | None = None


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


@dataclass(frozen=True, kw_only=True)
class ImporterSpec:
    """A reader of files that another tool wrote.

    Attributes:
        name: Unique name; the directory of the import in the run has it. An importer of what a backend records has
            the backend's name.
        summary: One line.
        suffixes: File suffixes that such files have, each with its dot.
        sniff: (path, first bytes of the file) to whether it is such a file, whatever its suffix.
        load: Reads the file and returns what it holds; raises ``DamagedFileError`` for one that it cannot trust.
        scrub: (file, output) to what was done, one line each: writes a copy that is safe to share, every number
            kept. None: such files cannot be scrubbed.
        options: Importer parameters, given as ``--set <importer>.<name>=value``.
    """

    name: str
    summary: str
    suffixes: Sequence[str]
    sniff: Callable[[Path, bytes], bool]
    load: Callable[[ImportContext], Imported]
    scrub: Callable[[Path, Path], Sequence[str]] | None = None
    options: type[Options] = Options


@dataclass(frozen=True, kw_only=True)
class DeviceSpec:
    """A GPU and its limits.

    Attributes:
        name: Unique name, such as ``h200``.
        match: Regular expressions; one must match the whole name that the driver reports, upper or lower case.
        dense_peaks: Peak FLOP/s without structured sparsity, by element type (``tfloat32`` where float32 may use it).
        memory_bandwidth: Peak memory bandwidth, in bytes per second.
        memory: Device memory, in bytes.
        source: Where the numbers come from.
    """

    name: str
    match: Sequence[str]
    dense_peaks: Mapping[str, float]
    memory_bandwidth: float
    memory: int
    source: str

    def matches(self, name: str) -> bool:
        """Tell whether this is the GPU that calls itself so."""
        return any(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for pattern in self.match)

    @property
    def summary(self) -> str:
        """Peak and bandwidth in one line."""
        peak = max((self.dense_peaks.get(name, 0.0) for name in ("bfloat16", "float16", "float32")), default=0.0)
        return f"{peak / 1e12:g} dense TFLOP/s, {self.memory_bandwidth / 1e9:g} GB/s, {self.memory / 1e9:g} GB"


Spec = ModelSpec | WorkloadSpec | AnalyticSpec | BackendSpec | ExporterSpec | ImporterSpec | DeviceSpec
