"""What is installed: every active plugin's specs by name, and what became of the plugins that are not active.

``registry()`` loads plugins once per process, when something first asks. Names are unique per kind (workloads:
per model). A name that two plugins provide is refused until ``distribution:name`` says which one is meant; a
plugin that failed matters only to whoever asks for something it provides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar, cast

from perfkit_core.errors import MissingError, PerfkitError, UsageError, close_names, nearest
from perfkit_core.plugins import DISABLE, Kind, PluginStatus, Probed, normalised, probe_plugins
from perfkit_core.schema.run import PluginRecord
from perfkit_core.spec_checks import spec_name
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

AnySpec = TypeVar("AnySpec", bound=Spec, covariant=True)  # noqa: PLC0105 - the plain name reads better in signatures
Specs = Mapping[Kind, Sequence["Registered[Spec]"]]


@dataclass(frozen=True, kw_only=True)
class Registered(Generic[AnySpec]):
    """A spec and where it comes from.

    Attributes:
        spec: What the plugin registered.
        distribution: Distribution that holds the plugin.
        version: Version of that distribution.
        plugin: Entry-point name of the plugin.
        selector: What to write to get exactly this one: its name, or ``distribution:name`` on a clash.
    """

    spec: AnySpec
    distribution: str
    version: str
    plugin: str
    selector: str


class Registry:
    """Everything that active plugins registered.

    A name may be written ``distribution:name`` everywhere. Lookups raise

    * ``UsageError`` when nothing has that name; the nearest names are suggested;
    * ``MissingError`` when the name is refused because of a clash (both distributions are named), or when a
      plugin that is not active provides it, or by its own name looks as if it would, or when plugins are
      disabled and no name is near.

    Args:
        probed: The installed plugins.
    """

    def __init__(self, probed: Iterable[Probed]) -> None:
        found = list(probed)
        self._specs, clashes = _index(found)
        self.plugins: tuple[PluginStatus, ...] = tuple(_with_clashes(plugin.status, clashes) for plugin in found)
        """Status of every installed plugin, core's built-ins first."""

    def models(self) -> tuple[Registered[ModelSpec], ...]:
        """Return all models, by name; of a clashing name, all of them."""
        return self._all("model", ModelSpec)

    def workloads(self, model: str | None = None) -> tuple[Registered[WorkloadSpec], ...]:
        """Return the workloads of ``model`` (of all models when it is None), by model and name."""
        everything = self._all("workload", WorkloadSpec)
        return everything if model is None else tuple(item for item in everything if item.spec.model == _bare(model))

    def analytic_models(self) -> tuple[Registered[AnalyticSpec], ...]:
        """Return all analytic models, by the name of their model."""
        return self._all("analytic", AnalyticSpec)

    def backends(self) -> tuple[Registered[BackendSpec], ...]:
        """Return all backends, by name."""
        return self._all("backend", BackendSpec)

    def exporters(self) -> tuple[Registered[ExporterSpec], ...]:
        """Return all exporters, by name."""
        return self._all("exporter", ExporterSpec)

    def importers(self) -> tuple[Registered[ImporterSpec], ...]:
        """Return all importers, by name."""
        return self._all("importer", ImporterSpec)

    def devices(self) -> tuple[Registered[DeviceSpec], ...]:
        """Return all known GPUs, by name."""
        return self._all("device", DeviceSpec)

    def model(self, name: str) -> ModelSpec:
        """Return the model of that name."""
        return self._find("model", name, self.models())

    def workload(self, name: str, model: str) -> WorkloadSpec:
        """Return the workload of that name for ``model``; if both clash, the one of the model's distribution.

        Args:
            name: Workload name.
            model: Model as the user wrote it: ``name`` or ``distribution:name``.
        """
        candidates = _beside(model, self.workloads(model))
        return self._find("workload", name, candidates, of=f" of model {_bare(model)!r}")

    def analytic(self, model: str) -> AnalyticSpec:
        """Return the analytic model of ``model`` (``name`` or ``distribution:name``).

        Raises:
            MissingError: No plugin provides one, or several do.
        """
        candidates = _beside(model, [item for item in self.analytic_models() if item.spec.model == _bare(model)])
        if not candidates:
            raise MissingError(f"no active plugin provides an analytic model of {model!r}", fix=_DETAILS)
        return self._find("analytic", _bare(model), candidates)

    def backend(self, name: str) -> BackendSpec:
        """Return the backend of that name."""
        return self._find("backend", name, self.backends())

    def exporter(self, name: str) -> ExporterSpec:
        """Return the exporter of that name."""
        return self._find("exporter", name, self.exporters())

    def distribution_of(self, spec: Spec) -> str:
        """Return the distribution that a spec, as a lookup returned it, comes from."""
        everything = (item for items in self._specs.values() for item in items)
        return next(item.distribution for item in everything if item.spec is spec)

    def _all(self, kind: Kind, _: type[AnySpec]) -> tuple[Registered[AnySpec], ...]:
        return cast("tuple[Registered[AnySpec], ...]", tuple(self._specs.get(kind, ())))

    def _find(self, kind: Kind, name: str, candidates: Sequence[Registered[AnySpec]], of: str = "") -> AnySpec:
        hits = [item for item in candidates if _is_meant(name, item)]
        if len(hits) == 1:
            return hits[0].spec
        if hits:
            message = f"{_TITLES[kind]} {name!r}{of} is refused: it is provided by {_origins(hits)}"
            raise MissingError(message, fix=_choice(hits))
        raise self._unknown(kind, name, [item.selector for item in candidates], of)

    def _unknown(self, kind: Kind, name: str, known: Iterable[str], of: str) -> PerfkitError:
        failed = [plugin for plugin in self.plugins if plugin.status != "active"]
        for plugin in failed:
            if _would_provide(plugin, kind, name):
                return MissingError(
                    f"{_TITLES[kind]} {name!r}{of}: plugin {plugin.name!r} of {plugin.distribution} "
                    f"{plugin.version} is {plugin.status}: {plugin.error}",
                    fix=f"remove it from {DISABLE}"
                    if plugin.status == "disabled"
                    else "see: perfkit plugins --verbose",
                )
        known = list(known)
        disabled = [f"{plugin.name!r} of {plugin.distribution}" for plugin in failed if plugin.status == "disabled"]
        if disabled and not close_names(name, known):
            # What a disabled plugin provides is not known without running its code, which is what was forbidden.
            return MissingError(
                f"no active plugin provides {_TITLES[kind]} {name!r}{of}; disabled: {', '.join(disabled)}",
                fix=f"if a disabled plugin provides it, remove that plugin from {DISABLE}",
            )
        advice = nearest(name, known)
        broken = [plugin.name for plugin in failed if plugin.status != "disabled"]
        if broken:
            advice += f"; not loaded: {', '.join(broken)}, {_DETAILS}"
        return UsageError(f"unknown {_TITLES[kind]} {name!r}{of}", fix=advice)


def active_plugins(found: Registry) -> tuple[PluginRecord, ...]:
    """Return the plugins that take part in every run, for its index."""
    return tuple(
        PluginRecord(name=plugin.name, distribution=plugin.distribution, version=plugin.version)
        for plugin in found.plugins
        if plugin.status == "active"
    )


@cache
def registry() -> Registry:
    """Return the registry of this process, loading plugins on the first call."""
    return load_registry()


def load_registry() -> Registry:
    """Find and probe all installed plugins anew."""
    return Registry(probe_plugins())


_DETAILS = "see: perfkit plugins --verbose"
_TITLES: Mapping[Kind, str] = {
    "model": "model",
    "workload": "workload",
    "analytic": "analytic model of",
    "backend": "backend",
    "exporter": "exporter",
    "importer": "importer",
    "device": "device",
}


def _index(probed: Iterable[Probed]) -> tuple[Specs, Mapping[tuple[str, str], list[str]]]:
    """Return all specs by kind in order of name, and what to say of clashes per (distribution, plugin)."""
    named: dict[tuple[Kind, str, str], list[Registered[Spec]]] = defaultdict(list)
    for plugin in probed:
        status = plugin.status
        for kind, specs in plugin.specs.items():
            for spec in specs:
                name = spec_name(spec)
                group = spec.model if isinstance(spec, WorkloadSpec) else ""
                named[kind, group, name].append(
                    Registered(
                        spec=spec,
                        distribution=status.distribution,
                        version=status.version,
                        plugin=status.name,
                        selector=name,
                    )
                )
    by_kind: dict[Kind, list[Registered[Spec]]] = defaultdict(list)
    clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (kind, _, name), items in sorted(named.items(), key=lambda entry: entry[0]):
        if len(items) == 1:
            by_kind[kind] += items
            continue
        for item in items:
            by_kind[kind].append(replace(item, selector=f"{item.distribution}:{name}"))
            clash = f"{_TITLES[kind]} {name!r} is provided by {_origins(items)}"
            clashes[item.distribution, item.plugin].append(clash)
    return by_kind, clashes


def _with_clashes(status: PluginStatus, clashes: Mapping[tuple[str, str], list[str]]) -> PluginStatus:
    refused = clashes.get((status.distribution, status.name))
    return replace(status, error="refused: " + "; ".join(refused)) if refused else status


def _bare(name: str) -> str:
    return name.rpartition(":")[2]


def _is_meant(name: str, item: Registered[Spec]) -> bool:
    distribution, colon, bare = name.rpartition(":")
    return spec_name(item.spec) == bare and (not colon or normalised(item.distribution) == normalised(distribution))


def _beside(model: str, candidates: Sequence[Registered[AnySpec]]) -> Sequence[Registered[AnySpec]]:
    """Leave out candidates that clash with one from the distribution named in ``model``."""
    distribution, colon, _ = model.rpartition(":")
    if not colon:
        return candidates
    own = {spec_name(item.spec) for item in candidates if normalised(item.distribution) == normalised(distribution)}
    return [
        item
        for item in candidates
        if normalised(item.distribution) == normalised(distribution) or spec_name(item.spec) not in own
    ]


def _origins(items: Sequence[Registered[Any]]) -> str:
    """Name the distributions; where they are one and the same, its plugins too."""
    same = len({item.distribution for item in items}) < len(items)
    return " and ".join(
        f"{item.distribution} {item.version}" + (f" (plugin {item.plugin})" if same else "") for item in items
    )


def _choice(items: Sequence[Registered[Any]]) -> str:
    selectors = sorted({item.selector for item in items})
    if len(selectors) < len(items):
        plugins = " or ".join(f"{DISABLE}={item.plugin}" for item in items)
        return f"one distribution provides it twice: set {plugins}"
    return "write " + " or ".join(selectors)


def _would_provide(plugin: PluginStatus, kind: Kind, name: str) -> bool:
    """Tell whether an inactive plugin is to blame: it returned that name, or is itself named like it."""
    distribution, colon, bare = name.rpartition(":")
    if colon:
        return normalised(distribution) == normalised(plugin.distribution)
    if f"{kind}:{bare}" in plugin.would_provide:
        return True
    package = normalised(plugin.distribution).removeprefix("perfkit-").replace("-", "_")
    return any(bare == own or bare.startswith(f"{own}_") for own in (plugin.name, package))
