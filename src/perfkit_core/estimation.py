"""An estimate in memory: the cost tree and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perfkit_core.errors import MissingError, ToolError
from perfkit_core.plan import Subject

if TYPE_CHECKING:
    import pandas

    from perfkit_core.costtree import Cost, CostTree
    from perfkit_core.schema.analytic import AnalyticReport


class Estimate:
    """The analytic answer for one model on one workload, in memory.

    Attributes:
        subject: Model, variant, workload and their resolved parameters.
        tree: The cost tree; ``tree.rows()`` gives every module as a pair of path and node.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        try:
            self.tree: CostTree = subject.estimate()
        except SystemExit as error:  # anything else that a plugin raises is for the caller to see
            raise ToolError(
                f"the analytic model of {subject.model.name!r} called sys.exit", fix="report it to the plugin's author"
            ) from error

    @property
    def parameters(self) -> dict[str, Any]:
        """Every resolved model and workload parameter."""
        return self.subject.parameters()

    @cached_property
    def total(self) -> Cost:
        """Sums over the whole run: FLOPs, parameters, bytes."""
        return self.tree.total()

    def report(self) -> AnalyticReport:
        """Return the full report, as ``perfkit run`` writes it to ``analytic/report.json``."""
        from perfkit_core.analytic_report import analytic_report

        return analytic_report(
            self.tree,
            model=self.subject.model.name,
            variant=self.subject.request.variant,
            workload=self.subject.workload.name,
            parameters=self.parameters,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one plain record per module: the fields of ``modules`` in the report, without ``ops``."""
        from perfkit_core.analytic_report import module_values

        values: dict[int, dict[str, Any]] = {}
        rows: list[dict[str, Any]] = []
        for path, node in self.tree.rows():
            known = values.get(id(node))
            if known is None:
                known = values[id(node)] = module_values(node)
            rows.append({"path": path, **known})
        return rows

    def to_frame(self) -> pandas.DataFrame:
        """Return ``rows()`` as a data frame; integers beyond 64 bits stay exact Python integers.

        Raises:
            MissingError: pandas is not installed.
        """
        return frame(self.rows())


def frame(records: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """Return plain records as a data frame.

    Raises:
        MissingError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingError(
            "a data frame needs pandas, which is not installed", fix="pip install 'perfkit-core[frame]'"
        ) from None
    return pd.DataFrame.from_records(list(records))
