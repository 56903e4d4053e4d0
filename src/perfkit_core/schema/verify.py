"""``verify/layers.json`` and ``verify/end2end.json``: the analytic view against torch's own count."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core.schema.base import VERIFY_SCHEMA, Count, Part, Record

Verdict = Literal["equal", "within", "over", "unmatched"]


class BytesRecord(Record):
    """Own bytes of one kind of operation in one module."""

    kind: str = Field(description="linear, conv or elementwise")
    expected: Count = Field(description="Bytes read and written according to the cost tree")
    counted: Count = Field(description="Bytes read and written as traced")


class LayerRecord(Record):
    """One module: expected from the cost tree, counted on the real implementation."""

    path: str = Field(description="Region path")
    calls: Count = Field(description="Calls of the real module in the whole run")
    calls_expected: Count = Field(description="Calls according to the cost tree")
    expected: Count = Field(description="Inclusive FLOPs of the cost tree")
    counted: Count = Field(description="Inclusive FLOPs that FlopCounterMode counted")
    relative_difference: Part = Field(description="|expected - counted| / the larger one; 0 when both are 0")
    parameters_expected: Count = Field(description="Inclusive parameters of the cost tree")
    parameters_counted: Count = Field(description="Inclusive numel() of the real module's distinct parameters")
    bytes: tuple[BytesRecord, ...] = Field(description="Own bytes per kind that can be traced exactly")
    verdict: Verdict = Field(description="equal, within the tolerance, over it, or without a counterpart")


class Unmatched(Record):
    """A name that stands on one side only."""

    path: str = Field(description="Region path")
    side: Literal["counted", "expected"] = Field(description="The side that has it")
    flops: Count = Field(description="FLOPs on that side")


class EndToEnd(Record):
    """The whole run."""

    schema_: Literal["perfkit.verify/1"] = Field(
        default=VERIFY_SCHEMA, alias="schema", description="Schema of this file"
    )
    expected: Count = Field(description="FLOPs of the cost tree")
    counted: Count = Field(description="FLOPs counted on the real implementation")
    relative_difference: Part = Field(description="|expected - counted| / the larger one")
    parameters_expected: Count = Field(description="Parameters of the cost tree")
    parameters_counted: Count = Field(description="Distinct parameters of the real modules")


class VerifyReport(Record):
    """The comparison of every module."""

    schema_: Literal["perfkit.verify/1"] = Field(
        default=VERIFY_SCHEMA, alias="schema", description="Schema of this file"
    )
    model: str = Field(description="Model name")
    variant: str = Field(description="Variant name")
    workload: str = Field(description="Workload name")
    passed: bool = Field(description="No module over the tolerance and none unmatched")
    tolerance: float = Field(ge=0, description="Largest accepted relative difference")
    modules: Count = Field(description="Modules compared")
    counted_modules: Count = Field(description="Modules in which the counter saw work")
    mismatched: Count = Field(description="Modules with any difference in FLOPs, parameters, calls or bytes")
    max_relative_difference: Part = Field(description="Largest relative difference of FLOPs or parameters")
    max_bytes_difference: Part = Field(description="Largest relative difference of traced bytes")
    unmatched: tuple[Unmatched, ...] = Field(description="Names that stand on one side only")
    layers: tuple[LayerRecord, ...] = Field(description="Every module, in call order")
    end_to_end: EndToEnd = Field(description="The whole run")
    methods: tuple[str, ...] = Field(description="How the reference was counted, one line each")

    def problem(self) -> str:
        """Return which difference, verdict or count does not follow from the modules listed."""
        from perfkit_core.schema.consistency import verification_problem

        return verification_problem(self)
