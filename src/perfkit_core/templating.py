"""Rendering Jinja templates: lookup with prefixes, undefined names refused, errors in one line.

Templates are files that people share, so they run in Jinja's sandbox: no private attributes, no changes to
what they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import jinja2  # noqa: TID253 - this module is imported only to render
from jinja2.loaders import split_template_path  # noqa: TID253
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: TID253

from perfkit_core.errors import UsageError, nearest
from perfkit_core.template_context import FILTERS, TEMPLATE_CONTEXT_VERSION
from perfkit_core.template_lookup import TemplateSource

_TEMPLATE_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)
"""What an expression or a tag of a template can raise."""

HELP = "docs/templates.md lists the names that templates can use"


class Lookup(jinja2.BaseLoader):
    """Finds ``name`` in the first source that has it, and ``prefix:name`` in that source alone.

    Args:
        sources: Folders, the one that wins first.
        file: A template file that is rendered by its own path, outside all sources.
    """

    def __init__(self, sources: Sequence[TemplateSource], file: Path | None = None) -> None:
        self.sources = sources
        self.file = file
        self.opened: set[str] = set()
        self.environment = _environment(self)

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return text, file name and freshness test of a template.

        Raises:
            TemplateNotFound: No source has it.
            UsageError: The file cannot be read as UTF-8 text.
        """
        path = self._find(template)
        if path is None:
            raise jinja2.TemplateNotFound(template)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"template {path} cannot be read: {error}", fix="save it as UTF-8 text") from None
        self.opened.add(str(path))
        stamp = _stamp(path)
        return text, str(path), lambda: self._find(template) == path and _stamp(path) == stamp

    def names(self) -> list[str]:
        """Return every name that can be looked up without a prefix."""
        found = {
            path.relative_to(source.directory).as_posix()
            for source in self.sources
            for path in source.directory.rglob("*")
            if path.is_file()
        }
        return sorted(found)

    def _find(self, template: str) -> Path | None:
        if self.file is not None and template == str(self.file):
            return self.file
        prefix, colon, rest = template.rpartition(":")
        sources = [source for source in self.sources if prefix in source.prefixes] if colon else self.sources
        # Refuses ".." and separators of the platform inside a name.
        parts = split_template_path(rest)
        for source in sources:
            path = source.directory.joinpath(*parts)
            if path.is_file():
                return path
        return None


@lru_cache(maxsize=8)
def lookup_in(sources: tuple[TemplateSource, ...], file: Path | None = None) -> Lookup:
    """Return the lookup for some folders; compiled templates are kept as long as their files do not change."""
    return Lookup(sources, file)


def render_template(lookup: Lookup, name: str, variables: Mapping[str, object]) -> str:
    """Render a template.

    Args:
        name: Template name, or the path of ``lookup.file``.
        variables: What the template can use, next to ``context_version``.

    Raises:
        UsageError: The template is missing, malformed or uses what does not exist; names file and line.
    """
    try:
        return lookup.environment.get_template(name).render(variables)
    except _TEMPLATE_FAULTS as error:
        raise _fault(error, name, lookup) from error


def compile_template(lookup: Lookup, name: str) -> None:
    """Refuse a template that cannot be rendered at all.

    Raises:
        UsageError: The template is missing or malformed; names file and line.
    """
    try:
        lookup.environment.get_template(name)
    except _TEMPLATE_FAULTS as error:
        raise _fault(error, name, lookup) from error


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does, or None when it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _environment(lookup: Lookup) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=lookup,
        undefined=jinja2.StrictUndefined,
        autoescape=lambda template: template is not None and template.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["context_version"] = TEMPLATE_CONTEXT_VERSION
    return environment


def _fault(error: Exception, name: str, lookup: Lookup) -> UsageError:
    """Return a fault of a template as an error of one line that says where it is."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return UsageError(f"template {_place(error.filename or name, error.lineno)}: {_text(error)}", fix=HELP)
    where = _place(*_position(error.__traceback__, lookup)) or name
    if isinstance(error, jinja2.TemplateNotFound):
        wanted = str(error.name or "")
        inside = "" if where == name else f"template {where}: "
        fix = nearest(wanted.rpartition(":")[2], lookup.names())
        return UsageError(f"{inside}there is no template {wanted!r}", fix=fix)
    if isinstance(error, RecursionError):
        return UsageError(
            f"template {where} extends or includes itself",
            fix="name the template that it replaces with its prefix, as in core:report.md",
        )
    kind = "" if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: "
    return UsageError(f"template {where}: {kind}{_text(error)}", fix=HELP)


def _text(error: Exception) -> str:
    """Return the error's text in one line, without the package names of Python objects in it."""
    text = " ".join(str(error).split())
    return re.sub(r"'perfkit_core\.[\w.]+\.(\w+) object'", r"\1", text)


def _place(file: str, line: int) -> str:
    return f"{file}, line {line}" if file and line else file


def _position(trace: TracebackType | None, lookup: Lookup) -> tuple[str, int]:
    """Return file and line of the innermost template frame; Jinja puts template lines into tracebacks."""
    found = ("", 0)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file in lookup.opened:
            found = (file, trace.tb_lineno)
        trace = trace.tb_next
    return found
