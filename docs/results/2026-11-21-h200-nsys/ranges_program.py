"""NVTX ranges of every kind around small torch kernels: nested, repeated, empty, overlapping, across threads, graphs."""
import subprocess, sys, threading
import nvtx, torch

def work(n=1):
    for _ in range(n):
        x.mul_(1.0001)

x = torch.ones(1 << 20, device="cuda")
y = torch.ones(256, 256, device="cuda")
work(); y @ y; torch.cuda.synchronize()
with nvtx.annotate("A"):
    work(2)
    with nvtx.annotate("A1"):
        work(3)
    y @ y
for _ in range(4):
    with nvtx.annotate("repeated"):
        work()
        with nvtx.annotate("repeated"):
            work()
with nvtx.annotate("empty"):
    pass
with nvtx.annotate("outer", domain="model"):
    with nvtx.annotate("A", domain="other"):
        with nvtx.annotate("a/b", domain="model"):
            work(2)
handle = nvtx.start_range("open for a while")
work(5)
nvtx.end_range(handle)
nvtx.mark("a mark")
def aside(name):
    with nvtx.annotate(name):
        for _ in range(3):
            with nvtx.annotate("inner"):
                work()
threads = [threading.Thread(target=aside, args=(f"thread {n}",)) for n in range(2)]
[t.start() for t in threads]; [t.join() for t in threads]
side = torch.cuda.Stream()
with nvtx.annotate("on another stream"), torch.cuda.stream(side):
    work(2)
torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    work(4)
with nvtx.annotate("graph"):
    for _ in range(3):
        graph.replay()
with torch.autograd.profiler.emit_nvtx():
    z = torch.ones(64, 64, device="cuda", requires_grad=True)
    (z @ z).sum().backward()
with nvtx.annotate("copies"):
    host = x.cpu(); x.copy_(host); x.zero_()
work(2)
if len(sys.argv) > 1:
    with nvtx.annotate("child"):
        subprocess.run([sys.executable, "-c", "import nvtx, torch\nwith nvtx.annotate('in the child'):\n    (torch.ones(512, device='cuda') + 1).sum().item()"], check=True)
torch.cuda.synchronize()
print("done")
