"""PyTorch on the CPU: the works of `juanji bench`, with the same names and keys.

    python3 bench/peers/pytorch.py THREADS [--bf16] [WORK...]

Works are named as below, or are layers such as b8-3x3s2-64to128@56. With --bf16 networks run under autocast.
Prints one JSON object a line. Times are the best of seven runs after two warm-ups, in milliseconds. PyTorch gets its
own best layout, channels last, and should have OpenBLAS or MKL behind its linear layers.
"""
import contextlib
import json
import re
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
BF16 = "--bf16" in sys.argv[2:]
WANTED = [name for name in sys.argv[2:] if name != "--bf16"]
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
    print(json.dumps({"peer": f"pytorch-{torch.__version__}{'-bf16' if BF16 else ''}", "threads": THREADS, "work": work, **figures}), flush=True)


def layer(name):
    """The convolution a name such as b8-3x3s2-64to128@56 or b8-dw7x7s1-96@56 stands for."""
    match = re.fullmatch(r"b(\d+)-(dw)?(\d+)x\3s(\d+)-(\d+)(?:to(\d+))?@(\d+)", name)
    if match is None:
        return None
    batch, kernel, stride, channels, size = (int(match[i]) for i in (1, 3, 4, 5, 7))
    if match[2]:
        return batch, channels, size, channels, kernel, stride, channels
    return batch, channels, size, int(match[6]), kernel, stride, 1


def convolution(work, batch, channels, size, filters, kernel, stride, groups):
    x = torch.randn(batch, channels, size, size).to(memory_format=LAST).requires_grad_()
    weight = torch.randn(filters, channels // groups, kernel, kernel)
    if groups == 1:
        weight = weight.to(memory_format=LAST)
    weight.requires_grad_()

    # Kernels without a middle stand side by side.
    padding = 0 if kernel % 2 == 0 else kernel // 2

    def forward():
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)

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


def network(work, net, image, batch, make_optimizer):
    net = net.to(memory_format=LAST)
    optimizer = make_optimizer(net.parameters())
    x = torch.randn(batch, *image).to(memory_format=LAST)
    labels = torch.randint(0, 10, (batch,))

    def precision():
        return torch.autocast("cpu", dtype=torch.bfloat16) if BF16 else contextlib.nullcontext()

    def step():
        optimizer.zero_grad()
        with precision():
            loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()

    step_ms = best_ms(step)
    net.eval()
    with torch.no_grad(), precision():
        inference_ms = best_ms(lambda: net(x))
    report(work, train_step_ms=step_ms, inference_ms=inference_ms, samples_per_s=1e3 * batch / step_ms)


def simple_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class Block(nn.Module):
    """A basic block; where the shape changes, a projection or zeros as further channels."""

    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.stride, self.zeros = stride, (outputs - inputs) // 2
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride > 1 and projection:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def around(self, x):
        if self.shortcut is not None:
            return self.shortcut(x)
        if self.stride == 1:
            return x
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.zeros, self.zeros))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.around(x))


def resnet(widths, blocks, projection):
    """A residual network for 32 x 32 pictures: a 3x3 stem, no pool."""
    inputs = widths[0]
    layers = [nn.Conv2d(3, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs), nn.ReLU()]
    for stage, outputs in enumerate(widths):
        for i in range(blocks):
            layers.append(Block(inputs, outputs, 2 if stage > 0 and i == 0 else 1, projection))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def momentum(parameters):
    return torch.optim.SGD(parameters, 0.01, momentum=0.9)


# how the network is made, image, batch, optimizer
NETWORKS = {
    "simple-cnn-28-b64": (simple_cnn, (1, 28, 28), 64, torch.optim.Adam),
    "resnet20-cifar-b128": (lambda: resnet((16, 32, 64), 3, False), (3, 32, 32), 128, momentum),
    "resnet18-cifar-b32": (lambda: resnet((64, 128, 256, 512), 2, True), (3, 32, 32), 32, momentum),
}


def main():
    torch.set_num_threads(THREADS)
    for work in WANTED or [*([] if BF16 else CONVOLUTIONS), *NETWORKS]:
        if work in NETWORKS:
            make, *numbers = NETWORKS[work]
            network(work, make(), *numbers)
        elif not BF16 and (numbers := CONVOLUTIONS.get(work) or layer(work)):
            convolution(work, *numbers)


main()
