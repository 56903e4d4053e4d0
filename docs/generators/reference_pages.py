"""``cli.md``, ``settings.md``, ``errors.md`` and ``template-context.md``."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import click

from generators.annotations import words
from generators.docstrings import block, inline, parse
from perfkit_core import (
    advice,
    capture_context,
    counted,
    counter_use,
    errors,
    findings,
    kernel_use,
    settings,
    stage_facts,
    stage_table,
    summary_rows,
    takeaways,
    template_context,
    terms,
    top_work,
)
from perfkit_core.cli import perfkit
from perfkit_core.families import Family

CLI_INTRODUCTION = """# Command line

Generated from the commands. Results go to stdout, everything else to stderr; `--json` prints JSON and nothing else on
stdout. [Exit codes](errors.md) and [settings](settings.md) have their own pages."""


def cli_page() -> str:
    """Return ``cli.md``, from click's own description of every command."""
    lines = [CLI_INTRODUCTION]
    context = click.Context(perfkit, info_name="perfkit", **perfkit.context_settings)
    lines += ["\n## perfkit\n", inline(perfkit.help or ""), "", *_options(perfkit, context)]
    for name in perfkit.list_commands(context):
        command = perfkit.get_command(context, name)
        if command is None:
            raise LookupError(f"command {name} cannot be loaded")
        child = click.Context(command, parent=context, info_name=name)
        usage = " ".join([child.command_path, *command.collect_usage_pieces(child)])
        lines += [f"\n## perfkit {name}\n", "```text", usage, "```", "", _help(command), "", *_options(command, child)]
    return "\n".join(lines) + "\n"


def _help(command: click.Command) -> str:
    """Return the help text; a paragraph that click is told not to wrap is an example."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    texts = []
    for paragraph in paragraphs:
        if "\b" in paragraph:
            examples = paragraph.replace("\b", "").strip("\n")
            texts.append("```text\n" + inspect.cleandoc(examples) + "\n```")
        else:
            texts.append(" ".join(paragraph.split()))
    return "\n\n".join(texts)


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines = ["| argument or option | meaning |", "|---|---|"]
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            record = parameter.get_help_record(context)
            if record is not None:
                lines.append(f"| `{record[0].replace('|', chr(92) + '|')}` | {inline(record[1])} |")
        else:
            metavar = parameter.make_metavar(context).replace("|", "\\|")
            lines.append(f"| `{metavar}` | argument |")
    return lines


def settings_page() -> str:
    """Return ``settings.md``."""
    lines = [
        "# Settings\n",
        "Generated from `perfkit_core.settings`.\n",
        block((settings.__doc__ or "").strip()),
        "\nUnknown keys are refused. `run.json` records in `settings_origins` where each value came from.\n",
        "| setting | type | default | variable | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, field in settings.Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        default_text = f"`{', '.join(default)}`" if isinstance(default, tuple) and default else _plain_default(default)
        variable = settings.PREFIX + name.upper()
        type_text = words(field.annotation)
        lines.append(f"| `{name}` | {type_text} | {default_text} | `{variable}` | {inline(field.description or '')} |")
    lines += ["", "Other variables: " + ", ".join(f"`{name}`" for name in sorted(settings.RESERVED_VARIABLES)) + "."]
    return "\n".join([*lines, SETTINGS_EXAMPLE])


def _plain_default(value: object) -> str:
    return "" if value in (None, (), {}) else f"`{value}`"


SETTINGS_EXAMPLE = """
`PERFKIT_DISABLE` turns plugins off, by entry-point or distribution name, separated by commas. `PERFKIT_DEBUG` is
`--debug`.

A project's `perfkit.toml`:

```toml
model = "wan2_1"
exporters = ["csv"]

[set]
num_frames = 49
offload = "stage"
```
"""


def errors_page() -> str:
    """Return ``errors.md``."""
    lines = [
        ERRORS_INTRODUCTION,
        "| code | error | meaning |",
        "|---:|---|---|",
        "| 0 | | done |",
    ]
    lines += [
        f"| {kind.exit_code} | `{kind.__name__}` | {inline(parse(kind).text.splitlines()[0])} |"
        for kind in sorted(_errors(), key=lambda kind: kind.exit_code)
    ]
    lines += [
        "| 6 | any other exception | a fault of perfkit itself |",
        "| 130 | | interrupted |",
        "",
        ERRORS_END,
    ]
    return "\n".join(lines) + "\n"


ERRORS_INTRODUCTION = """# Errors and exit codes

Generated from `perfkit_core.errors`. An error is one line on stderr, what failed and where, and one line with what to
do next. `--debug` adds the traceback.
"""

ERRORS_END = """Code 2 is also what a wrong option or argument gives. All are subclasses of `PerfkitError`, with the
attributes `message`, `fix` and `exit_code`; plugins raise them too."""


def _errors() -> Iterator[type[errors.PerfkitError]]:
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.PerfkitError) and value is not errors.PerfkitError:
            yield value


CONTEXT_INTRODUCTION = """# Template context

Generated from `perfkit_core.template_context`; `context_version` is {}. New names may come without a new version; a
name that goes or changes its meaning raises it. [Templates](templates.md) explains how to use them.
"""


def context_page() -> str:
    """Return ``template-context.md``."""
    lines = [
        CONTEXT_INTRODUCTION.format(template_context.TEMPLATE_CONTEXT_VERSION),
        "| variable | type | in |",
        "|---|---|---|",
        "| `report` | [`ReportContext`](#reportcontext) | templates of runs, markdown and HTML |",
        "| `report` | [`CaptureContext`](#capturecontext) | templates of captures: runs of commands and imports |",
        "| `comparison` | [`Comparison`](schema.md#comparison) | templates of comparisons |",
        "| `page` | [`Page`](#page) | HTML templates |",
        "| `context_version` | `int` | all |",
    ]
    for kind in (
        template_context.ReportContext,
        template_context.StageRow,
        stage_table.MeasuredRow,
        stage_table.MemoryRow,
        Family,
        capture_context.CaptureContext,
        capture_context.CaptureRow,
        capture_context.KernelTotal,
        findings.Findings,
        stage_facts.Whole,
        stage_facts.StageFacts,
        kernel_use.KindUse,
        counter_use.Counted,
        counted.CountedFlops,
        counted.CountedFamily,
        counted.CountedRow,
        takeaways.Takeaway,
        advice.Recommendation,
        terms.Term,
        summary_rows.SummaryRow,
        top_work.OperatorLine,
        top_work.KernelLine,
        template_context.Page,
    ):
        lines += [f"\n## {kind.__name__}\n", block(parse(kind).text), "", "| name | type | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {type_} | {inline(text)} |" for name, type_, text in _members(kind)]
    lines += ["\n## Filters\n", "Next to those of Jinja itself.\n", "| filter | meaning |", "|---|---|"]
    for name, function in template_context.FILTERS.items():
        lines.append(f"| `{name}` | {inline(parse(function).text)} |")
    return "\n".join(lines) + "\n"


def _members(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of the fields and properties of a context class."""
    found = parse(kind)
    if dataclasses.is_dataclass(kind):
        fields = {item.name: item.type for item in dataclasses.fields(kind)}
    else:
        fields = dict(kind.__annotations__)
    for name, type_ in fields.items():
        if not name.startswith("_"):
            yield name, _annotation(type_), found.entry(name)
    for name, value in vars(kind).items():
        function = value.func if isinstance(value, cached_property) else getattr(value, "fget", None)
        if function is not None and not name.startswith("_"):
            yield name, _annotation(function.__annotations__["return"]), parse(function).text


def _annotation(annotation: Any) -> str:
    if isinstance(annotation, typing.ForwardRef):
        text = annotation.__forward_arg__
    else:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return "`" + text.replace("|", "\\|") + "`"
