"""Where templates are looked up: the user's own places first, then plugins, then core."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit_core import __version__
from perfkit_core.errors import UsageError
from perfkit_core.plugins import CORE, PluginStatus
from perfkit_core.settings_files import project_file, user_file

FOLDER = "templates"
PROJECT_FOLDER = Path(".perfkit") / FOLDER
"""Templates of a project: beside its ``perfkit.toml``, or below the working directory without one."""

CORE_PREFIX = "core"
_SUMMARY = re.compile(r"\{#-?\s*(.*?)\s*-?#\}", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class TemplateSource:
    """One folder of templates.

    Attributes:
        origin: What the folder belongs to: ``--template-dir``, ``project``, ``user`` or a plugin's name.
        directory: The folder.
        prefixes: Names that select this folder alone, as in ``core:report.md``.
        distribution: Distribution that holds it; empty for the user's own folders.
        version: Version of that distribution.
    """

    origin: str
    directory: Path
    prefixes: tuple[str, ...] = ()
    distribution: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class TemplateInfo:
    """A template that a name selects.

    Attributes:
        name: Name for ``--template``.
        origin: What it belongs to: ``project``, ``user``, a plugin's name or ``core``.
        path: The file.
        summary: First comment of the template.
        distribution: Distribution that holds it; empty for the user's own templates.
        version: Version of that distribution.
    """

    name: str
    origin: str
    path: Path
    summary: str
    distribution: str
    version: str


def template_sources(*, template_dir: Path | None = None, model: str = "") -> tuple[TemplateSource, ...]:
    """Return all folders with templates, the one that wins first.

    Args:
        template_dir: Folder given on the command line.
        model: Model whose plugin comes before the other plugins.

    Raises:
        UsageError: ``template_dir`` is no directory.
    """
    sources: list[TemplateSource] = []
    if template_dir is not None:
        if not template_dir.is_dir():
            raise UsageError(f"template directory {template_dir} does not exist", fix="give a directory with templates")
        sources.append(TemplateSource(origin="--template-dir", directory=template_dir))
    sources += [source for source in _own_folders() if source.directory.is_dir()]
    sources += _plugin_folders(model)
    core = Path(__file__).parent / FOLDER
    sources.append(
        TemplateSource(
            origin=CORE_PREFIX, directory=core, prefixes=(CORE_PREFIX,), distribution=CORE, version=__version__
        )
    )
    return tuple(sources)


def list_templates(*, template_dir: Path | None = None) -> tuple[TemplateInfo, ...]:
    """Return every template that can be named, sorted by name; of several with one name, the one that wins.

    Raises:
        UsageError: ``template_dir`` is no directory.
    """
    found: dict[str, TemplateInfo] = {}
    for source in template_sources(template_dir=template_dir):
        for path in sorted(source.directory.rglob("*")):
            name = path.relative_to(source.directory).as_posix()
            if path.suffix in {".md", ".html"} and name not in found and path.is_file():
                found[name] = _info(name, path, source)
    return tuple(found[name] for name in sorted(found))


def _info(name: str, path: Path, source: TemplateSource) -> TemplateInfo:
    comment = _SUMMARY.search(path.read_text(encoding="utf-8", errors="replace"))
    return TemplateInfo(
        name=name,
        origin=source.origin,
        path=path,
        summary=" ".join(comment[1].split()) if comment else "",
        distribution=source.distribution,
        version=source.version,
    )


def _own_folders() -> Iterator[TemplateSource]:
    project = project_file()
    root = project.parent if project is not None else Path()
    yield TemplateSource(origin="project", directory=root / PROJECT_FOLDER)
    user = user_file(os.environ)
    if user is not None:
        yield TemplateSource(origin="user", directory=user.parent / FOLDER)


def _plugin_folders(model: str) -> list[TemplateSource]:
    from perfkit_core.registry import registry

    plugins = [plugin for plugin in registry().plugins if plugin.status == "active" and plugin.distribution != CORE]
    plugins.sort(key=lambda plugin: (f"model:{model}" not in plugin.provides, plugin.name, plugin.distribution))
    return list(_existing_folders(plugins))


def _existing_folders(plugins: Sequence[PluginStatus]) -> Iterator[TemplateSource]:
    for plugin in plugins:
        spec = importlib.util.find_spec(plugin.package) if plugin.package else None
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            directory = Path(location) / FOLDER
            if directory.is_dir():
                yield TemplateSource(
                    origin=plugin.name,
                    directory=directory,
                    prefixes=(plugin.name, plugin.distribution),
                    distribution=plugin.distribution,
                    version=plugin.version,
                )
