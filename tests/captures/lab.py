"""A plugin for the tests: an importer of JSON files, and a backend that wraps programs in ``env``."""

PLUGIN = """
import json
from perfkit_core import hookimpl
from perfkit_core.backend import ProfilerBackend, WrappingBackend
from perfkit_core.captures import write_capture
from perfkit_core.errors import DamagedFileError, ToolError
from perfkit_core.importer import Imported
from perfkit_core.options import Options
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals
from perfkit_core.specs import BackendSpec, ImporterSpec

MAGIC = b'{"lab"'


def report_of(regions, outside):
    rows, kernels, total = [], [], outside
    for domain, path, own, whole in regions:
        total += own
        rows.append(RegionRow(domain=domain, path=path, inclusive_ns=whole, exclusive_ns=own, inclusive_kernels=2,
            exclusive_kernels=1, busy_ns=own, span_ns=whole, instances=3))
        kernels.append(KernelRow(region=path, domain=domain, device=0, kind="kernel", name="k<" + path + ">",
            grid="1,1,1", block="32,1,1", calls=1, total_ns=own))
    totals = RegionTotals(kernels=len(rows), total_ns=total, outside_ns=outside, unattributed={"no range": outside})
    return RegionsReport(profiler="lab 7", limits=("Nothing of it was measured",),
        regions=tuple(rows), totals=totals, kernels=tuple(kernels))


class LabOptions(Options):
    factor: int = 1


def load(context):
    try:
        content = json.loads(context.path.read_bytes())
    except ValueError as error:
        raise DamagedFileError(f"{context.path} is cut off: {error}", fix="record it again") from None
    if content["lab"] == "odd":
        return "nothing"
    if content["lab"] == "broken":
        raise RuntimeError("the widget fell off")
    regions = [(d, p, own * context.options.factor, whole) for d, p, own, whole in content["regions"]]
    return Imported(tool="lab", version="7", report=report_of(regions, content["outside"]),
                    files={"raw.json": {"n": 1}, "read.txt": "me"}, notes=["imported by the lab"])


def scrub(path, output):
    output.write_bytes(path.read_bytes().replace(b"secret", b"------"))
    return ["the secret was removed"]


class Wraps(WrappingBackend):
    def command(self, argv, context):
        return ["env", "LAB=wrapped", *argv]

    def environment(self, environ, context):
        return {name: environ[name] for name in ("PATH", "HOME") if name in environ}

    def capture(self, context):
        lines = (context.directory / "stdout.txt").read_text().splitlines()
        if "no capture" in lines:
            raise ToolError("the lab recorded nothing", fix="try again")
        context.notes.append(f"{len(lines)} lines were printed")
        regions = [("perfkit", line.replace(" ", "_"), 10, 10) for line in lines]
        write_capture(context, report_of(regions, 5))


class Noisy(Wraps):
    def command(self, argv, context):
        script = 'echo Collecting data...; echo careful >&2; "$@"; code=$?; printf Generated:; exit $code'
        return ["sh", "-c", script, "sh", *argv]


class Broken(Wraps):
    def command(self, argv, context):
        return ["sh", "-c", "echo 'the widget is locked' >&2; exit 7"]


class Busy(Wraps):
    def command(self, argv, context):
        script = 'test -e tried && exec "$@"; touch tried; echo the socket is gone; exit 1'
        return ["sh", "-c", script, "sh", *argv]


class Absent(Wraps):
    def check(self, machine):
        return ["the widget is missing"]


class Inside(ProfilerBackend):
    def collect(self, context):
        pass


@hookimpl
def perfkit_importers():
    sniff = lambda path, head: head.startswith(MAGIC)
    return [
        ImporterSpec(name="lab", summary="files of the lab", suffixes=[".lab"], sniff=sniff, load=load, scrub=scrub,
                     options=LabOptions),
        ImporterSpec(name="notes", summary="notes", suffixes=[".note"], sniff=lambda path, head: head[:4] == b"note",
                     load=lambda context: Imported(tool="pencil", report=report_of([("", "b", 1, 1)], 0))),
    ]


@hookimpl
def perfkit_backends():
    return [BackendSpec(name=name, summary=name, factory=factory)
            for name, factory in (("wraps", Wraps), ("noisy", Noisy), ("broken", Broken), ("absent", Absent),
                                  ("busy", Busy), ("inside", Inside))]
"""
