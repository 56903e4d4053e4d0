"""Reports of a run and of a comparison, rendered from templates as markdown or HTML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.errors import MissingError, PerfkitError, UsageError, nearest
from perfkit_core.rundir import ANALYTIC_REPORT

if TYPE_CHECKING:
    from perfkit_core.capture_context import CaptureContext
    from perfkit_core.options import Options
    from perfkit_core.rundir import Run
    from perfkit_core.schema.analysis import Comparison
    from perfkit_core.schema.run import RunIndex
    from perfkit_core.template_context import ReportContext
    from perfkit_core.templating import Lookup

REPORT = "report.md"
SUMMARY = "summary.md"
STAKEHOLDER = "stakeholder_summary.md"
CAPTURE = "capture.md"
"""What ``report.md`` is of a run that has no model of its own."""
COMPARE = "compare.md"
PAGE = "report.html"
_WITHOUT_ANALYTIC = (CAPTURE, STAKEHOLDER, "counted.md")
"""Templates that the run of a model can do with where its analytic report was left out."""
FORMATS = ("md", "html")


def render(run: Run, *, template: str = REPORT, template_dir: Path | None = None, fmt: str = "md") -> str:
    """Render a run.

    Args:
        template: Name to look up (``report.md``, ``core:report.md``) or path of a file.
        template_dir: Folder that is searched before all others.
        fmt: ``md``, or ``html``: the markdown inside the wrapper template ``report.html``. A template
            whose name ends in ``.html`` is rendered as it is and needs ``html``.

    Raises:
        UsageError: The template is missing or broken, or the format is unknown.
        MissingError: The run has no analytic report.
        DamagedFileError: A file of the run is damaged, or one that the template needs was left out.
    """
    if template == REPORT and (run.index.kind != "model" or _is_left_out(run)):
        template = CAPTURE
    _check_format(template, fmt)
    context = _context(run, template)
    lookup, name = _lookup(template, template_dir, run.index.model)
    if name.endswith(".html"):
        return _with_page(lookup, name, REPORT, {"report": context}, context.title)
    if fmt == "html":
        return _with_page(lookup, PAGE, name, {"report": context}, context.title)
    return _markdown(lookup, name, {"report": context})


def _context(run: Run, template: str) -> ReportContext | CaptureContext:
    """Return the variable ``report``; runs of commands and imports have one of their own."""
    from perfkit_core.capture_context import CaptureContext
    from perfkit_core.template_context import ReportContext

    options = model_options(run.index)
    if run.index.kind != "model" and template != SUMMARY:
        return CaptureContext(run, run.report, options)
    if template in _WITHOUT_ANALYTIC and _is_left_out(run):
        return CaptureContext(run, None, options)
    if run.report is None:
        run.demand(ANALYTIC_REPORT)
        raise MissingError(f"run {run.path} has no analytic/report.json", fix=_how_to_estimate(run))
    return ReportContext(run, run.report, options)


def model_options(index: RunIndex) -> type[Options] | None:
    """Return the options of a run's model; None where no active plugin provides it, or the run is of none."""
    from perfkit_core.registry import registry

    try:
        return registry().model(index.model).options if index.model else None
    except PerfkitError:  # the page does without: it then names no other value of an option
        return None


def _is_left_out(run: Run) -> bool:
    """Whether the analytic report is listed and not there, and something else has figures to show."""
    if ANALYTIC_REPORT not in run.left_out:
        return False
    return run.metrics is not None or run.profile is not None or run.counters is not None


def _how_to_estimate(run: Run) -> str:
    if run.index.kind == "model":
        return "repeat the run with backend analytic"
    return "perfkit import FILE --model M --workload W adds the analytic view to a capture"


def check_template(template: str, *, template_dir: Path | None = None, model: str = "") -> None:
    """Refuse, before a run begins, a template that could not be rendered at its end.

    Raises:
        UsageError: The template or its folder is missing, or the template is malformed.
    """
    from perfkit_core.templating import compile_template

    lookup, name = _lookup(template, template_dir, model)
    compile_template(lookup, name)


def render_comparison(
    comparison: Comparison, *, template: str = COMPARE, template_dir: Path | None = None, fmt: str = "md"
) -> str:
    """Render a comparison; arguments and errors as for ``render``."""
    _check_format(template, fmt)
    lookup, name = _lookup(template, template_dir, "")
    variables = {"comparison": comparison}
    title = f"perfkit comparison of {comparison.base} and {comparison.head}"
    if name.endswith(".html"):
        return _with_page(lookup, name, COMPARE, variables, title)
    if fmt == "html":
        return _with_page(lookup, PAGE, name, variables, title)
    return _markdown(lookup, name, variables)


def _check_format(template: str, fmt: str) -> None:
    if fmt not in FORMATS:
        raise UsageError(f"unknown format {fmt!r}", fix=nearest(fmt, FORMATS))
    if template.endswith(".html") and fmt != "html":
        raise UsageError(f"template {template} makes HTML", fix="add --format html")


def _lookup(template: str, template_dir: Path | None, model: str) -> tuple[Lookup, str]:
    """Return the lookup and the name in it; a name that no folder has may be a file.

    A file in the working directory never hides a template: ``report.md`` there is more likely a report.
    """
    from perfkit_core.template_lookup import template_sources
    from perfkit_core.templating import lookup_in

    sources = template_sources(template_dir=template_dir, model=model)
    lookup, path = lookup_in(sources), Path(template)
    is_path = "/" in template or "\\" in template
    if is_path and ":" not in template and template in lookup.names():
        return lookup, template
    if is_path or (path.is_file() and ":" not in template and template not in lookup.names()):
        if not path.is_file():
            raise UsageError(f"there is no template file {template}", fix=nearest(template, lookup.names()))
        return lookup_in(sources, path), str(path)
    return lookup, template


def _markdown(lookup: Lookup, name: str, variables: dict[str, Any]) -> str:
    from perfkit_core.templating import render_template

    text = render_template(lookup, name, variables)
    # Tags that print nothing leave blank lines behind.
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _with_page(lookup: Lookup, wrapper: str, body: str, variables: dict[str, Any], title: str) -> str:
    """Render an HTML template, which may insert the markdown template ``body``."""
    from perfkit_core.template_context import Page
    from perfkit_core.templating import render_template

    page = Page(title, lambda: to_html(_markdown(lookup, body, variables)))
    return render_template(lookup, wrapper, {**variables, "page": page})


def to_html(markdown: str) -> str:
    """Return markdown (CommonMark and tables) as HTML; raw HTML in it is shown as text."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))
