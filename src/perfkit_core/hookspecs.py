"""The hooks a plugin can implement. Each takes no argument and returns a list of specs."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from perfkit_core.specs import (
    AnalyticSpec,
    BackendSpec,
    DeviceSpec,
    ExporterSpec,
    ImporterSpec,
    ModelSpec,
    WorkloadSpec,
)

PROJECT = "perfkit"
"""pluggy project name, and the entry-point group that plugins register in."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as the implementation of a hook."""


@hookspec
def perfkit_models() -> Sequence[ModelSpec]:
    """Return the models that this plugin can load."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_workloads() -> Sequence[WorkloadSpec]:
    """Return named workloads for models of this or another plugin."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_analytic_models() -> Sequence[AnalyticSpec]:
    """Return analytic models: closed-form costs of a model on a workload."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_backends() -> Sequence[BackendSpec]:
    """Return profiler backends."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_exporters() -> Sequence[ExporterSpec]:
    """Return exporters: writers of a finished run in another format."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_importers() -> Sequence[ImporterSpec]:
    """Return importers: readers of files that another tool wrote, for ``perfkit import`` and ``perfkit scrub``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def perfkit_devices() -> Sequence[DeviceSpec]:
    """Return GPUs with their peaks, so that a measured time becomes a share of what the device could do."""
    raise AssertionError("a hook specification is never called")
