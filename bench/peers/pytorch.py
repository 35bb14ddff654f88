"""PyTorch on the CPU: the works of `juanji bench`, with the same names and keys.

    python3 bench/peers/pytorch.py THREADS [WORK]

Prints one JSON object a line. Times are the best of seven runs after two warm-ups, in milliseconds. PyTorch gets its
own best layout, channels last, and should have OpenBLAS or MKL behind its linear layers.
"""
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
WANTED = sys.argv[2] if len(sys.argv) > 2 else None
LAST = torch.channels_last

# batch, channels, height = width, filters, kernel size, stride, groups; padding is half the kernel
CONVOLUTIONS = {
    "conv3x3-64@32": (32, 64, 32, 64, 3, 1, 1),
    "conv3x3-128@16": (32, 128, 16, 128, 3, 1, 1),
    "conv3x3-256@8": (32, 256, 8, 256, 3, 1, 1),
    "conv3x3-512@4": (32, 512, 4, 512, 3, 1, 1),
    "conv3x3-3to64@32": (32, 3, 32, 64, 3, 1, 1),
    "conv3x3-64@56": (8, 64, 56, 64, 3, 1, 1),
    "conv1x1-256to64@56": (8, 256, 56, 64, 1, 1, 1),
    "conv7x7s2-3to64@224": (8, 3, 224, 64, 7, 2, 1),
    "depthwise3x3-128@32": (32, 128, 32, 128, 3, 1, 128),
    "depthwise7x7-96@56": (8, 96, 56, 96, 7, 1, 96),
}


def best_ms(run):
    for _ in range(2):
        run()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def report(work, **figures):
    print(json.dumps({"peer": f"pytorch-{torch.__version__}", "threads": THREADS, "work": work, **figures}), flush=True)


def convolution(work, batch, channels, size, filters, kernel, stride, groups):
    x = torch.randn(batch, channels, size, size).to(memory_format=LAST).requires_grad_()
    weight = torch.randn(filters, channels // groups, kernel, kernel)
    if groups == 1:
        weight = weight.to(memory_format=LAST)
    weight.requires_grad_()

    def forward():
        return F.conv2d(x, weight, stride=stride, padding=kernel // 2, groups=groups)

    def both():
        x.grad = weight.grad = None
        forward().backward(upstream)

    with torch.no_grad():
        y = forward()
        forward_ms = best_ms(forward)
    upstream = torch.randn_like(y)
    both_ms = best_ms(both)
    flops = 2 * y.numel() * (channels // groups) * kernel * kernel
    report(
        work,
        forward_ms=forward_ms,
        forward_backward_ms=both_ms,
        forward_gflops=flops / forward_ms / 1e6,
        forward_backward_gflops=3 * flops / both_ms / 1e6,
    )


def simple_cnn(work, batch=64):
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    ).to(memory_format=LAST)
    adam = torch.optim.Adam(net.parameters())
    x = torch.randn(batch, 1, 28, 28)
    labels = torch.randint(0, 10, (batch,))

    def step():
        adam.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        adam.step()

    step_ms = best_ms(step)
    net.eval()
    with torch.no_grad():
        inference_ms = best_ms(lambda: net(x))
    report(work, train_step_ms=step_ms, inference_ms=inference_ms, samples_per_s=1e3 * batch / step_ms)


def main():
    torch.set_num_threads(THREADS)
    for work, numbers in CONVOLUTIONS.items():
        if WANTED in (None, work):
            convolution(work, *numbers)
    if WANTED in (None, "simple-cnn-28-b64"):
        simple_cnn("simple-cnn-28-b64")


main()
