"""Launch products for minutes: under a profiler, it holds the counters all the time."""

import torch

left = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
for _ in range(100_000):
    torch.mm(left, left)
torch.cuda.synchronize()
