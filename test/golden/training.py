"""Optimizers and training in float64. Writes training.golden.json: {"optimizers": [...], "networks": [...]}.

Optimizers. `parameter` is a specification of the formula; step t (from 0) uses the gradient with `gradient`'s
specification and salt + t. `steps[t]` is the parameter after step t.

Networks. `parameters` stand in the order in which the layers below create them, with names, shapes in juanji's layout
(convolution [...kernel, inChannels / groups, outChannels], linear [inFeatures, outFeatures]) and specifications.
Step t (from 0) trains on batch t % batches.count: images of `batches.images` with salt + t % count, labels of
`batches.labels` with salt + t % count. Loss: mean cross-entropy. Stored: the `losses` that the steps saw (each before
its update); of the first step the `logits` and the `gradients` of all parameters; after the last step the parameters
(`after`), the running statistics of the norms (`running`; they start at mean 0, variance 1), and `evaluation`, the
logits of batch 0 in evaluation mode. `float32` holds what the same training in float32 differs by, as a
guide to tolerances: `losses` is |difference| / loss of each step, `after` the error of each parameter. (Adam divides by
the size of the gradient, so parameters with gradients near zero part early: hold simpleCnn's losses, not its `after`.)

simpleCnn, input [16, 28, 28, 1], Adam (1e-3, 0.9, 0.999, 1e-8), 30 steps (a ten-step test takes the first ten losses):
    conv1 3x3, 1 -> 32, valid, bias; ReLU; conv2 3x3, 32 -> 64, valid, bias; ReLU; max-pool 2x2 stride 2;
    flatten (channels last: 12 x 12 x 64 = 9216); linear1 9216 -> 128; ReLU; linear2 128 -> 10.
residual, input [8, 16, 16, 3], SGD (0.05, momentum 0.9, weight decay 5e-4 on every parameter), 20 steps:
    stem: conv 3x3, 3 -> 8, norm, ReLU; block1: 8 -> 8; block2: 8 -> 16, stride 2; global average pool; linear 16 -> 10.
    A block is relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x)). Its convolutions are 3x3 and conv1 has the
    block's stride; shortcut is x in block1, in block2 a 1x1 convolution with stride 2 and a norm. No convolution has a
    bias; every 3x3 has padding 1 on all sides (also with stride 2: not 'same'), the 1x1 none. Norms are batch norms:
    epsilon 1e-5, momentum 0.1, unbiased running variance.
"""

import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from conv import channels_first, channels_last, convolution
from values import compact, golden, golden_input, rounded

torch.set_num_threads(1)

# ------------------------------------------------------------------------------------------------ optimizers

ADAM = dict(beta1=0.9, beta2=0.999, epsilon=1e-8)


def make_optimizer(name, parameters, learningRate, momentum=0.0, nesterov=False, weightDecay=0.0, beta1=0, beta2=0, epsilon=0):
    if name == "sgd":
        return torch.optim.SGD(parameters, learningRate, momentum, weight_decay=weightDecay, nesterov=nesterov)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(parameters, learningRate, (beta1, beta2), epsilon, weightDecay)


def optimizer_case(name, optimizer, steps=10, **options):
    spec = {"shape": [7], "salt": 200_000}
    gradient = {"shape": [7], "salt": 200_100}
    parameter = torch.tensor(golden_input(spec))
    made = make_optimizer(optimizer, [parameter], **options)
    trace = []
    for t in range(steps):
        parameter.grad = torch.tensor(golden_input({**gradient, "salt": gradient["salt"] + t}))
        made.step()
        trace.append([rounded(v) for v in parameter])
    return {"name": name, "optimizer": optimizer, "options": options, "parameter": spec, "gradient": gradient, "steps": trace}


optimizers = [
    optimizer_case("sgd", "sgd", learningRate=0.1),
    optimizer_case("sgd, weight decay", "sgd", learningRate=0.1, weightDecay=0.01),
    optimizer_case("sgd, momentum", "sgd", learningRate=0.1, momentum=0.9),
    optimizer_case("sgd, momentum, weight decay", "sgd", learningRate=0.05, momentum=0.9, weightDecay=0.01),
    optimizer_case("sgd, nesterov", "sgd", learningRate=0.1, momentum=0.9, nesterov=True),
    optimizer_case("sgd, nesterov, weight decay", "sgd", learningRate=0.05, momentum=0.8, nesterov=True, weightDecay=0.01),
    optimizer_case("adam", "adam", learningRate=0.01, **ADAM),
    optimizer_case("adam, weight decay", "adam", learningRate=0.01, weightDecay=0.1, **ADAM),
    optimizer_case("adam, other betas", "adam", learningRate=0.1, beta1=0.8, beta2=0.95, epsilon=1e-3),
    optimizer_case("adamw", "adamw", learningRate=0.01, weightDecay=0.1, **ADAM),
    optimizer_case("adamw, no weight decay", "adamw", learningRate=0.01, weightDecay=0.0, **ADAM),
]

# ------------------------------------------------------------------------------------------------ networks


def weight_spec(shape):
    """Uniform within 1 / sqrt(fanIn)."""
    return {"shape": shape, "scale": 1 / math.sqrt(np.prod(shape[:-1]))}


def bias_spec(size, fan_in):
    return {"shape": [size], "scale": 1 / math.sqrt(fan_in)}


def simple_cnn_parameters():
    return {
        "conv1.weight": weight_spec([3, 3, 1, 32]),
        "conv1.bias": bias_spec(32, 9),
        "conv2.weight": weight_spec([3, 3, 32, 64]),
        "conv2.bias": bias_spec(64, 288),
        "linear1.weight": weight_spec([9216, 128]),
        "linear1.bias": bias_spec(128, 9216),
        "linear2.weight": weight_spec([128, 10]),
        "linear2.bias": bias_spec(10, 128),
    }


def simple_cnn(p, running, training, x):
    x = F.relu(convolution(x, p["conv1.weight"], p["conv1.bias"]))
    x = F.relu(convolution(x, p["conv2.weight"], p["conv2.bias"]))
    x = channels_last(F.max_pool2d(channels_first(x), 2)).flatten(1)
    x = F.relu(x @ p["linear1.weight"] + p["linear1.bias"])
    return x @ p["linear2.weight"] + p["linear2.bias"]


def residual_parameters():
    specs = {}

    def conv(name, kernel, inputs, outputs):
        specs[f"{name}.weight"] = weight_spec([kernel, kernel, inputs, outputs])

    def norm(name, channels):
        specs[f"{name}.weight"] = {"shape": [channels], "scale": 0.25, "offset": 1}
        specs[f"{name}.bias"] = {"shape": [channels], "scale": 0.1}

    conv("stem.conv", 3, 3, 8)
    norm("stem.norm", 8)
    for block, inputs, outputs in (("block1", 8, 8), ("block2", 8, 16)):
        conv(f"{block}.conv1", 3, inputs, outputs)
        norm(f"{block}.norm1", outputs)
        conv(f"{block}.conv2", 3, outputs, outputs)
        norm(f"{block}.norm2", outputs)
    conv("block2.shortcut.conv", 1, 8, 16)
    norm("block2.shortcut.norm", 16)
    specs["linear.weight"] = weight_spec([16, 10])
    specs["linear.bias"] = bias_spec(10, 16)
    return specs


def residual(p, running, training, x):
    def norm(name, x):
        channels = x.shape[-1]
        for key, value in ((f"{name}.mean", 0.0), (f"{name}.variance", 1.0)):
            running.setdefault(key, torch.full([channels], value, dtype=x.dtype))
        statistics = running[f"{name}.mean"], running[f"{name}.variance"]
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        return channels_last(F.batch_norm(channels_first(x), *statistics, weight, bias, training, 0.1, 1e-5))

    def block(name, x, stride):
        y = F.relu(norm(f"{name}.norm1", convolution(x, p[f"{name}.conv1.weight"], stride=stride, padding=1)))
        y = norm(f"{name}.norm2", convolution(y, p[f"{name}.conv2.weight"], padding=1))
        if stride > 1:
            x = norm(f"{name}.shortcut.norm", convolution(x, p[f"{name}.shortcut.conv.weight"], stride=stride))
        return F.relu(y + x)

    x = F.relu(norm("stem.norm", convolution(x, p["stem.conv.weight"], padding=1)))
    x = block("block2", block("block1", x, 1), 2)
    return x.mean((1, 2)) @ p["linear.weight"] + p["linear.bias"]


def train(dtype, forward, parameters, batches, optimizer, steps):
    p = {s["name"]: torch.tensor(golden_input(s), dtype=dtype).requires_grad_() for s in parameters}
    options = {key: value for key, value in optimizer.items() if key != "name"}
    made = make_optimizer(optimizer["name"], list(p.values()), **options)
    running, losses, first = {}, [], {}

    def batch(kind, t):
        spec = batches[kind]
        return torch.tensor(golden_input({**spec, "salt": spec["salt"] + t % batches["count"]}))

    for t in range(steps):
        logits = forward(p, running, True, batch("images", t).to(dtype))
        loss = F.cross_entropy(logits, batch("labels", t))
        made.zero_grad()
        loss.backward()
        if t == 0:
            first = {"logits": golden(logits), "gradients": {name: golden(value.grad) for name, value in p.items()}}
        losses.append(loss.item())
        made.step()
    after = {name: value.detach() for name, value in p.items()}
    with torch.no_grad():
        evaluation = forward(p, running, False, batch("images", 0).to(dtype))
    return losses, first, after, running, evaluation


def network_case(name, forward, specs, salt, batch, image, count, optimizer, steps):
    parameters = [{"name": key, **spec, "salt": salt + i} for i, (key, spec) in enumerate(specs.items())]
    batches = {
        "count": count,
        "images": {"shape": [batch, *image], "salt": salt + 1000, "scale": 0.5, "offset": 0.5},
        "labels": {"shape": [batch], "salt": salt + 2000, "integers": 10},
    }
    setting = (forward, parameters, batches, optimizer, steps)
    losses, first, after, running, evaluation = train(torch.float64, *setting)
    losses32, _, after32, _, _ = train(torch.float32, *setting)
    drift = [abs(a - b) / b for a, b in zip(losses32, losses)]
    moved = {k: ((after32[k].double() - v).abs().max() / v.abs().max()).item() for k, v in after.items()}
    print(name, "losses", [round(v, 4) for v in losses], f"float32 differs by {max(drift):.1e}")
    return {
        "name": name,
        "parameters": parameters,
        "batches": batches,
        "optimizer": optimizer,
        "losses": [rounded(v) for v in losses],
        **first,
        "after": {key: golden(value) for key, value in after.items()},
        "running": {key: golden(value) for key, value in running.items()},
        "evaluation": golden(evaluation),
        "float32": {
            "losses": [float(f"{v:.1e}") for v in drift],
            "after": {key: float(f"{v:.1e}") for key, v in moved.items()},
        },
    }


if __name__ == "__main__":
    adam = {"name": "adam", "learningRate": 1e-3, **ADAM}
    sgd = {"name": "sgd", "learningRate": 0.05, "momentum": 0.9, "weightDecay": 5e-4}
    networks = [
        network_case("simpleCnn", simple_cnn, simple_cnn_parameters(), 300_000, 16, [28, 28, 1], 2, adam, 30),
        network_case("residual", residual, residual_parameters(), 400_000, 8, [16, 16, 3], 2, sgd, 20),
    ]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training.golden.json")
    with open(path, "w") as file:
        lines = [",\n".join(compact(case) for case in part) for part in (optimizers, networks)]
        file.write('{"optimizers":[\n' + lines[0] + '\n],"networks":[\n' + lines[1] + "\n]}\n")
    print(f"training.golden.json: {len(optimizers)} optimizers, {len(networks)} networks, {os.path.getsize(path)} bytes")
