import sys, torch, nvtx
torch.manual_seed(0)
def r(n): return nvtx.annotate(n, domain="perfkit")
a=torch.randn(4096,4096,device="cuda",dtype=torch.bfloat16); b=torch.randn(4096,4096,device="cuda",dtype=torch.bfloat16)
a16,b16=a.half(),b.half(); a32,b32=a.float(),b.float()
q=torch.randn(1,16,4096,128,device="cuda",dtype=torch.bfloat16)
def step():
    with r("denoise"):
        for i in range(2):
            with r("step"):
                with r("blocks.0"):
                    with r("mm"): c=a@b
                    with r("gelu"): c=torch.nn.functional.gelu(c)
                with r("attn"): o=torch.nn.functional.scaled_dot_product_attention(q,q,q)
                with r("softmax"): s=torch.softmax(c,-1)
    with r("other"):
        d=a16@b16
        torch.backends.cuda.matmul.allow_tf32=True; e=a32@b32
        torch.backends.cuda.matmul.allow_tf32=False; f=a32[:1024,:1024]@b32[:1024,:1024]
        g=a32+b32
    a32.sum()
step(); torch.cuda.synchronize(); torch.cuda.profiler.start(); step(); torch.cuda.synchronize(); torch.cuda.profiler.stop()
if "crash" in sys.argv: import os; os.kill(os.getpid(), 11)
if "exit" in sys.argv: sys.exit(7)
