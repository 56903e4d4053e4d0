"""A plugin whose workload loops, uses threads and fails on request; the tests install it beside the example."""

LAB = """
import os, signal, subprocess, sys, threading, time
from typing import Literal
from perfkit_core import hookimpl, ops, region
from perfkit_core.backend import Pass, ProfilerBackend
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.errors import DamagedFileError, MissingError, UsageError
from perfkit_core.options import Options
from perfkit_core.specs import AnalyticSpec, BackendSpec, ModelSpec, VariantSpec, WorkloadSpec
from perfkit_core.workload import Workload


class NoLicence(MissingError):
    pass


KINDS = {"missing": MissingError, "damaged": DamagedFileError, "usage": UsageError, "own": NoLicence}


CHILD = '''
import nvtx
with nvtx.annotate("work", domain="child"):
    for _ in range(3):
        with nvtx.annotate("part", domain="child"):
            pass
'''


class LabOptions(Options):
    steps: int = 10
    fault: Literal[
        "", "memory", "huge", "kill", "hang", "error", "missing", "damaged", "usage", "mixed", "own"
    ] = ""
    at: int = 2
    threads: bool = False
    child: bool = False


class Lab(Workload):
    def __init__(self, context):
        import torch
        self.options, self.runs = context.options, 0
        self.layer = context.components["layer"]
        self.rows = torch.ones(64, 64)

    def step(self, regions):
        import torch
        self.runs += 1
        with regions.region("outer"):
            time.sleep(0.01)
            for index in regions.loop("step", self.options.steps):
                time.sleep(0.005 if index else 0.03)
                with region("body"):
                    self.layer(self.rows)
                    if self.runs > self.options.at:
                        self.fail(torch)
        if self.options.threads:
            workers = [threading.Thread(target=self.aside, args=(regions, name)) for name in ("left", "right")]
            [worker.start() for worker in workers]
            [worker.join() for worker in workers]
        if self.options.child:
            subprocess.run([sys.executable, "-c", CHILD], check=True)

    def aside(self, regions, name):
        with regions.region(name), regions.region("inner"):
            self.rows @ self.rows

    def fail(self, torch):
        if self.options.fault in KINDS:
            raise KINDS[self.options.fault]("weight w.7 is not in model.safetensors", fix="name another checkpoint")
        if self.options.fault == "mixed":  # the second worker fails for another reason than the first
            if os.path.exists("first"):
                raise MissingError("no second file")
            open("first", "w").close()
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.options.fault == "huge":
            torch.empty(2**52)
        if self.options.fault == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB")
        if self.options.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.options.fault == "hang":
            time.sleep(600)
        if self.options.fault == "error":
            raise ValueError("the widget fell off")

    def units(self):
        return {"steps": self.options.steps}


def load(request):
    import torch
    torch.manual_seed(request.seed)
    return {"layer": torch.nn.Linear(64, 64, device=request.device)}


def estimate(request, workload):
    op = ops.linear(64, 64, 64, "float32", calls=workload.steps)
    body = Node("linear", "linear", workload.steps, ops=[op])
    step = Node("step", "container", workload.steps, children=[("body", body)])
    outer = Node("stage", "container", 1, children=[("step", step)])
    return CostTree((("outer", outer),), MemoryEstimate(0, 0, {}, 0), {})


@hookimpl
def perfkit_models():
    return [ModelSpec(name="lab", summary="-", variants=[VariantSpec(name="only", summary="-")],
                      default_workload="bench", options=Options, load=load)]


class Marks(ProfilerBackend):
    in_worker = True
    reads_nvtx = True

    def collect(self, context):
        context.writer.write_text("marks.json", (context.directory / "nvtx.json").read_text())


class TurnsOptions(Options):
    to: str = "torch"


class Turns(ProfilerBackend):
    in_worker = True

    def passes(self, context):
        yield Pass(backend=context.options.to, repeats=1, warmup=0, iterations=1)

    def collect(self, context):
        raise AssertionError("it makes no pass of its own")


class AsksOptions(Options):
    graphs: str = "node"


class Asks(Turns):
    def passes(self, context):
        yield Pass(backend="nsys", options={"graphs": context.options.graphs, "keep_report": True}, iterations=1)


class TriesOptions(Options):
    seconds: float = 0
    twice: bool = True


class Tries(ProfilerBackend):
    def passes(self, context):
        yield Pass(name="first")
        if context.options.twice:
            yield Pass(name="second")

    def failed(self, error, context):
        context.notes.append(f"the second is tried instead: {error}")
        return None if context.step.name == "first" else error

    def collect(self, context):
        time.sleep(context.options.seconds)
        if context.step.name == "first":
            raise NoLicence("not this way", fix="-")


@hookimpl
def perfkit_backends():
    return [BackendSpec(name="marks", summary="-", factory=Marks),
            BackendSpec(name="asks", summary="-", factory=Asks, options=AsksOptions),
            BackendSpec(name="tries", summary="-", factory=Tries, options=TriesOptions),
            BackendSpec(name="turns", summary="-", factory=Turns, options=TurnsOptions)]


@hookimpl
def perfkit_workloads():
    return [WorkloadSpec(name="bench", model="lab", summary="-", options=LabOptions, build=Lab),
            WorkloadSpec(name="paper", model="lab", summary="-", options=LabOptions)]


@hookimpl
def perfkit_analytic_models():
    return [AnalyticSpec(model="lab", estimate=estimate)]
"""
