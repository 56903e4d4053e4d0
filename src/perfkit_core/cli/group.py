"""The lazy command group: a static table of commands, each loaded when it is used.

Also the one place where an exception becomes an exit code and a line on stderr.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import cache, wraps
from typing import Any, NoReturn

import click

import perfkit_core
from perfkit_core.cli.streams import flush, reserved_output
from perfkit_core.errors import INTERRUPTED, PerfkitError, ToolError, UsageError, nearest, one_line
from perfkit_core.texts import visible

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("perfkit_core.cli.run", "Analyse a model on a workload and write a run directory."),
    "verify": ("perfkit_core.cli.verify", "Compare the analytic view with the real implementation."),
    "exec": ("perfkit_core.cli.exec", "Measure a program of your own under a profiler."),
    "import": ("perfkit_core.cli.import_", "Make a run out of files that a profiler wrote."),
    "scrub": ("perfkit_core.cli.scrub", "Copy a profiler's file without what must not be shared."),
    "hotspots": ("perfkit_core.cli.hotspots", "Show where a run spends most."),
    "compare": ("perfkit_core.cli.compare", "Show what accounts for the difference between two runs."),
    "report": ("perfkit_core.cli.report", "Render the report of a run."),
    "export": ("perfkit_core.cli.export", "Write a run in another format."),
    "list": ("perfkit_core.cli.listing", "List models, workloads, backends, exporters, importers or templates."),
    "plugins": ("perfkit_core.cli.plugins", "Show installed plugins and their status."),
    "doctor": ("perfkit_core.cli.doctor", "Check this machine, the settings and the plugins."),
}
"""Command name to the module that holds it (as ``command``) and its line in ``perfkit --help``."""


class Invocation:
    """What one invocation shares between the group, its command and the error handler.

    Attributes:
        debug: Whether errors show their traceback.
        ends_process: Whether the process ends with the command.
    """

    def __init__(self, *, ends_process: bool = False) -> None:
        self.debug = False
        self.ends_process = ends_process


class LazyGroup(click.Group):
    """Finds commands in ``COMMANDS`` and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        return _load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look up the command that ``args`` begin with.

        Raises:
            UsageError: There is no such command.
        """
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"there is no command {args[0]!r}", fix=nearest(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Set up the log and run the command."""
        from perfkit_core.cli.output import log_to_stderr

        log_to_stderr(debug=ctx.ensure_object(Invocation).debug)
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "perfkit",
        complete_var: str | None = None,
        standalone_mode: bool = True,
        *,
        ends_process: bool = False,
        **extra: Any,
    ) -> Any:
        """Run a command; unless ``standalone_mode`` is off, turn every outcome into an exit code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        invocation = Invocation(ends_process=ends_process)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, obj=invocation, **extra)
            flush(sys.stdout)
        except Exception as error:  # noqa: BLE001 - the outermost frame: report, never a bare traceback
            _exit_with(error, invocation)
        except KeyboardInterrupt:  # raised while the interpreter was importing, before click took over
            _say("interrupted")
            sys.exit(INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def debug_option() -> click.Option:
    """Return ``--debug``, which every command and the group accept."""

    def switch_on(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
        if value:
            from perfkit_core.cli.output import log_to_stderr

            ctx.ensure_object(Invocation).debug = True
            log_to_stderr(debug=True)
        return value

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        envvar="PERFKIT_DEBUG",
        callback=switch_on,
        help="Show tracebacks and debug messages.",
    )


@cache
def _load(name: str) -> click.Command:
    """Import a command and let nothing but its own output reach stdout."""
    from importlib import import_module

    command: click.Command = import_module(COMMANDS[name][0]).command
    command.params.append(debug_option())
    inner = command.callback

    @wraps(inner or _load)
    def callback(*args: Any, **values: Any) -> Any:
        context = click.get_current_context()
        with reserved_output(restore=not context.ensure_object(Invocation).ends_process):
            try:
                return inner(*args, **values) if inner else None
            except SystemExit as error:
                raise ToolError(
                    f"a plugin called sys.exit: {one_line(error)}", fix="repeat the command with --debug to see which"
                ) from error

    command.callback = callback
    return command


def _exit_with(error: Exception, invocation: Invocation) -> NoReturn:
    if invocation.debug and not isinstance(error, click.Abort):
        import traceback

        _say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, click.Abort):
        if invocation.ends_process:  # whoever is impatient gets the same exit code
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say("interrupted")
        sys.exit(INTERRUPTED)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        _complain(error.format_message(), f"{context.command_path if context else 'perfkit'} --help")
        sys.exit(2)
    if isinstance(error, PerfkitError):
        _complain(error.message, error.fix)
        sys.exit(error.exit_code)
    fault = f"perfkit itself failed: {one_line(error)}"
    _complain(fault, "repeat the command with --debug and report the traceback")
    sys.exit(PerfkitError.exit_code)


def _complain(message: str, fix: str) -> None:
    """Say on one line what failed and what to do about it."""
    text = f"error: {message}; fix: {fix}" if fix else f"error: {message}"
    _say(" ".join(text.split()))


def _say(line: str) -> None:
    click.echo(visible(line), err=True)


def _help_without_command(*_: object, **__: object) -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


perfkit = LazyGroup(
    name="perfkit",
    help="What a model should cost, what it does cost, where the gap is and what to do first.",
    params=[debug_option()],
    invoke_without_command=True,
    callback=_help_without_command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
perfkit = click.version_option(perfkit_core.__version__, prog_name="perfkit")(perfkit)
