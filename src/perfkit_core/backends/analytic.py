"""Backend ``analytic``: what the run should cost, from the model's cost tree."""

from __future__ import annotations

from perfkit_core.analytic_report import analytic_report, report_text
from perfkit_core.backend import ProfilerBackend, RunContext
from perfkit_core.errors import MissingError
from perfkit_core.rundir import ANALYTIC_REPORT


class AnalyticBackend(ProfilerBackend):
    """Evaluates the cost tree and writes ``analytic/report.json``."""

    def collect(self, context: RunContext) -> None:
        """Write the report of the run's cost tree.

        Raises:
            MissingError: No plugin provides an analytic model of the model.
        """
        tree = context.tree
        if tree is None:
            if context.analytic is None:
                raise MissingError(
                    f"no plugin provides an analytic model of {context.model.name!r}", fix="perfkit plugins"
                )
            tree = context.analytic.estimate(context.request, context.workload_options)
        report = analytic_report(
            tree,
            model=context.model.name,
            variant=context.request.variant,
            workload=context.workload.name,
            parameters={
                **context.request.options.model_dump(mode="json"),
                **context.workload_options.model_dump(mode="json"),
            },
        )
        context.writer.write_json(ANALYTIC_REPORT, report, text=report_text(report))
