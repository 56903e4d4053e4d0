"""``perfkit doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from perfkit_core.cli.options import json_option, settings_from
from perfkit_core.cli.output import emit, emit_json, emit_table
from perfkit_core.errors import MissingError, PerfkitError, message_of

if TYPE_CHECKING:
    from perfkit_core.registry import Registered
    from perfkit_core.specs import BackendSpec


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Check Python, the settings, the plugins, the backends and the optional torch stack."""
    findings = diagnose()
    if as_json:
        emit_json(findings)
    else:
        _show(findings)
    if findings["problems"]:
        raise MissingError(
            f"{len(findings['problems'])} problem(s): {findings['problems'][0]}", fix="perfkit plugins --verbose"
        )


def diagnose() -> dict[str, Any]:
    """Return what was found; ``problems`` names what keeps something installed from working."""
    from perfkit_core.environment import STACK, environment, installed_version
    from perfkit_core.registry import registry

    found = registry()
    machine = environment(sorted({plugin.distribution for plugin in found.plugins}))
    stack = {name: installed_version(name) or None for name in STACK}
    missing = [name for name, version in stack.items() if version is None]
    broken = [plugin for plugin in found.plugins if plugin.status in {"failed", "incompatible"}]
    return {
        "python": {"version": machine.python, "executable": sys.executable, "platform": machine.platform},
        "distributions": machine.distributions,
        "settings": _settings(),
        "plugins": [
            {"name": one.name, "distribution": one.distribution, "status": one.status, "error": one.error}
            for one in found.plugins
        ],
        "backends": [{"name": item.selector, "problems": _check(item)} for item in found.backends()],
        "stack": stack,
        "stack_advice": f"perfkit verify needs: pip install {' '.join(missing)}" if missing else "",
        "problems": [f"plugin {one.name} ({one.distribution}) is {one.status}: {one.error}" for one in broken],
    }


def _settings() -> dict[str, dict[str, object]]:
    resolved = settings_from({})
    plain = resolved.settings.model_dump(mode="json")
    parameters = plain.pop("set")
    values = {**plain, **{f"set.{name}": value for name, value in parameters.items()}}
    return {name: {"value": value, "origin": resolved.origins[name]} for name, value in values.items()}


def _check(item: Registered[BackendSpec]) -> list[str]:
    from perfkit_core.choosing import checked_backend
    from perfkit_core.machine import machine

    try:
        return checked_backend(item.spec, item.distribution, machine())[1]
    except PerfkitError as error:
        return [message_of(error)]


def _show(findings: dict[str, Any]) -> None:
    python = findings["python"]
    emit(f"python {python['version']} ({python['executable']}) on {python['platform']}")
    emit("")
    rows = [(name, _text(entry["value"]), entry["origin"]) for name, entry in findings["settings"].items()]
    emit_table(("setting", "value", "from"), rows)
    emit("")
    plugins = [(one["name"], one["distribution"], one["status"], one["error"]) for one in findings["plugins"]]
    emit_table(("plugin", "distribution", "status", "problem"), plugins)
    emit("")
    backends = [(one["name"], "; ".join(one["problems"]) or "ready") for one in findings["backends"]]
    emit_table(("backend", "check"), backends)
    emit("")
    emit_table(("optional", "version"), [(name, version or "absent") for name, version in findings["stack"].items()])
    if findings["stack_advice"]:
        emit(findings["stack_advice"])


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value) or "-"
    return "-" if value is None else str(value)
