import torch, triton, triton.language as tl, nvtx


@triton.jit
def add(x, y, out, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    m = i < n
    tl.store(out + i, tl.load(x + i, mask=m) + tl.load(y + i, mask=m), mask=m)


n = 1 << 22
x, y = torch.ones(n, device="cuda"), torch.ones(n, device="cuda")
out = torch.empty_like(x)


def go():
    add[(n // 1024,)](x, y, out, n, B=1024)


go()
torch.cuda.synchronize()
with nvtx.annotate("A"):
    go()
    with nvtx.annotate("A1"):
        go()
        go()
with nvtx.annotate("B", domain="model"):
    go()
go()
torch.cuda.synchronize()
