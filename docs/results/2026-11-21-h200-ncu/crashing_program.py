"""Launch two products inside ranges, then die."""

import os

import torch

from perfkit_core import region

left = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
for step in range(2):
    with region("step"):
        torch.mm(left, left)
torch.cuda.synchronize()
os.abort()
