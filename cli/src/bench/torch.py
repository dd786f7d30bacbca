"""DPO from logits in PyTorch: a process that runs once for each line it reads, and prints milliseconds.

Arguments: mode (eager, compiled), responses, tokens, vocabulary, threads. The line `peak` makes it print
the peak of one run above its inputs in bytes instead.
"""

import gc
import sys
import time

mode = sys.argv[1]
responses, tokens, vocabulary, threads = map(int, sys.argv[2:6])

import torch

torch.set_num_threads(threads)
torch.manual_seed(0)
logits = torch.empty(responses * tokens, vocabulary).uniform_(-8, 8).requires_grad_()
labels = torch.randint(vocabulary, (responses * tokens, 1))
reference = torch.full((responses // 2,), 1.0)
half = responses // 2


def dpo(logits, labels, reference):
    logp = torch.log_softmax(logits, -1).gather(1, labels).view(responses, tokens).sum(1)
    rho = logp[:half] - logp[half:] - reference
    return -torch.nn.functional.logsigmoid(0.1 * rho).mean()


step = torch.compile(dpo, dynamic=False) if mode == "compiled" else dpo


def run():
    logits.grad = None
    step(logits, labels, reference).backward()


def status(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit("the system does not tell " + field)


run()
print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    if line.strip() == "peak":
        logits.grad = None
        gc.collect()
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        before = status("VmRSS:")
        run()
        print(status("VmHWM:") - before, flush=True)
    else:
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1e3, flush=True)
