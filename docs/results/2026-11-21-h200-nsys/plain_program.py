import torch
from perfkit_core import region
a = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
torch.cuda.synchronize()
for step in range(5):
    with region("step"):
        with region("product"):
            b = a @ a
        with region("rest"):
            b = torch.relu(b) + 1
torch.cuda.synchronize()
print("sum", float(b.float().sum()))
