"""``analytic/report.json``: what every module should cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import ANALYTIC_SCHEMA, Count, Part, Record


class Totals(Record):
    """Sums over the whole run."""

    flops: Count = Field(description="Matrix-product, convolution and attention FLOPs (multiply-add = 2)")
    elementwise_flops: Count = Field(description="All other arithmetic, in FLOPs")
    parameters: Count = Field(description="Number of parameters")
    weight_bytes: Count = Field(description="Bytes of all parameters")
    bytes_read: Count = Field(description="Least bytes read, weights included at every call")
    bytes_written: Count = Field(description="Least bytes written")
    kv_cache_bytes: Count = Field(description="Bytes of the key/value cache at the end of the run")
    peak_memory_bytes: Count = Field(description="Estimated peak of allocated device memory, in bytes")


class StageRecord(Record):
    """One stage of the run."""

    path: str = Field(description="Region path of the stage")
    calls: Count = Field(description="How often the run enters the stage")
    flops: Count = Field(description="FLOPs of the whole run spent in the stage")
    elementwise_flops: Count = Field(description="Other arithmetic of the whole run in the stage, in FLOPs")
    bytes_read: Count = Field(description="Least bytes read in the stage")
    bytes_written: Count = Field(description="Least bytes written in the stage")
    parameters: Count = Field(description="Number of parameters of the stage's modules")
    weight_bytes: Count = Field(description="Bytes of those parameters")
    peak_activation_bytes: Count = Field(description="Estimated peak of live activations, weights excluded, in bytes")
    resident_weight_bytes: Count = Field(
        default=0, description="Estimated weights on the device meanwhile, also of other stages, in bytes"
    )
    peak_memory_bytes: Count = Field(
        default=0, description="Estimated largest allocation of the stage: resident weights, cache and activations"
    )


class OpRecord(Record):
    """One call shape of one operation."""

    kind: str = Field(description="linear, matmul, attention, conv, norm, elementwise, embedding or resample")
    name: str = Field(description="The operator, where the kind has several")
    dims: dict[str, Count] = Field(description="Named sizes of one call")
    dtype: str = Field(description="Element type of the activations")
    calls: Count = Field(description="Calls with this shape in the whole run")
    flops: Count = Field(description="FLOPs of all those calls")
    bytes_read: Count = Field(description="Least bytes read by all those calls")
    bytes_written: Count = Field(description="Least bytes written by all those calls")
    category: str = Field(default="", description="Category that it counts in; empty for that of its module")


class ModuleRecord(Record):
    """One called module (or one that only holds parameters: calls 0)."""

    path: str = Field(description="Region path")
    kind: str = Field(description="What the module is: linear, conv, attention, norm, block…")
    category: str = Field(description="Group that hotspots and comparisons add the own values to")
    calls: Count = Field(description="Calls in the whole run")
    flops: Count = Field(description="FLOPs of the module and everything called inside it")
    own_flops: Count = Field(description="FLOPs outside any called child")
    elementwise_flops: Count = Field(description="Other arithmetic, inclusive, in FLOPs")
    own_elementwise_flops: Count = Field(description="Other arithmetic outside any called child, in FLOPs")
    parameters: Count = Field(description="Parameters of the module and its children")
    own_parameters: Count = Field(description="Parameters of the module itself")
    weight_bytes: Count = Field(description="Bytes of the parameters, inclusive")
    own_weight_bytes: Count = Field(description="Bytes of the module's own parameters")
    bytes_read: Count = Field(description="Least bytes read in the whole run, inclusive")
    own_bytes_read: Count = Field(description="Least bytes read outside any called child")
    bytes_written: Count = Field(description="Least bytes written in the whole run, inclusive")
    own_bytes_written: Count = Field(description="Least bytes written outside any called child")
    activation_bytes: Count = Field(description="Activations read and written by one call of each operation, inclusive")
    own_activation_bytes: Count = Field(description="The same outside any called child")
    ops: tuple[OpRecord, ...] = Field(description="Own operations")

    def by_category(self) -> dict[str, tuple[int, int]]:
        """Return own FLOPs and own bytes by category: the module's, and those that some of its operations have."""
        flops, nbytes = self.own_flops, self.own_bytes_read + self.own_bytes_written
        apart: dict[str, tuple[int, int]] = {}
        for op in self.ops:
            if op.category:
                known, moved = apart.get(op.category, (0, 0)), op.bytes_read + op.bytes_written
                apart[op.category] = known[0] + op.flops, known[1] + moved
                flops, nbytes = flops - op.flops, nbytes - moved
        same = apart.pop(self.category, (0, 0))
        return {self.category: (flops + same[0], nbytes + same[1]), **apart}


class CategoryRecord(Record):
    """Own values added up per category."""

    name: str = Field(description="Category")
    flops: Count = Field(description="Own FLOPs")
    share: Part = Field(description="Part of all FLOPs, 0 to 1")
    bytes: Count = Field(description="Own bytes read and written")
    bytes_share: Part = Field(description="Part of all bytes, 0 to 1")


class AnalyticReport(Record):
    """The analytic view of one model on one workload."""

    schema_: Literal["perfkit.analytic/1"] = Field(
        default=ANALYTIC_SCHEMA, alias="schema", description="Schema of this file"
    )
    model: str = Field(description="Model name")
    variant: str = Field(description="Variant name")
    workload: str = Field(description="Workload name")
    architecture: str = Field(description="Where the architecture was read from: bundled, or the checkpoint directory")
    parameters: dict[str, int | float | bool | str | None] = Field(description="Resolved model and workload parameters")
    geometry: dict[str, Count] = Field(description="Derived sizes, such as tokens and latent frames")
    totals: Totals = Field(description="Sums over the whole run")
    stages: tuple[StageRecord, ...] = Field(description="One record per stage")
    categories: tuple[CategoryRecord, ...] = Field(description="Own values per category, most FLOPs first")
    modules: tuple[ModuleRecord, ...] = Field(description="Every module, parents before children")
    notes: tuple[str, ...] = Field(description="What the reader must know about this workload")
    not_modelled: tuple[str, ...] = Field(description="What the run does that these costs leave out")

    def problem(self) -> str:
        """Return the first sum in the report that does not add up, or name that stands there twice."""
        from perfkit_core.schema.consistency import report_problem

        return report_problem(self)
