"""Loss curves of networks by name, 200 steps. Writes curves.golden.json, a list of cases.

`parameters` stand in the order in which the network makes them, with juanji's paths and layouts (convolution
[...kernel, inChannels / groups, outChannels], linear [inFeatures, outFeatures]) and specifications of the formula. Step t
(from 0) trains on batch t % batches.count, as in training.py, with SGD. `losses` are the mean cross-entropies that the
steps saw, each before its update, in float64: float32 is what is being tested, and PyTorch's own float32 lies as far
from float64 as any other. How far is told: `float32` holds the largest difference within the first ten losses, and the
relative difference of the mean of the last twenty.

simpleCnn, input [16, 16, 16, 3]:
    0 conv 3x3, 3 -> 32, valid, bias; ReLU; 2 conv 3x3, 32 -> 64, valid, bias; ReLU; max-pool 2x2; flatten (channels
    last); 6 linear 2304 -> 128; ReLU; 8 linear 128 -> 10.
resnet8, resnet20, input [16, 16, 16, 3]: one and three blocks a stage.
    conv1 3x3, 3 -> 16, bn1, ReLU; layer1 16 filters, layer2 32, layer3 64, the last two with stride 2 in their first
    block; global average pool; linear. A block is relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), its convolutions
    3x3 with padding 1 and no bias. Where the shape changes, the shortcut of resnet8 is `downsample`, a 1x1 convolution
    and a norm, and that of resnet20 every other pixel with a quarter of zero channels on either side. Norms as in
    training.py.

The norm at the end of a block begins with a scale of about 0.3. With 1 the curve says little of the program that is
tested: after ten steps of resnet20 PyTorch's float32 differs from its float64 by 1e-4 to 1e-2, and so it does from
itself when the weights are off by 2e-7. With 0.3 and these learning rates that is 3e-6, and at the end 0.3 %.
"""

import os

import torch
import torch.nn.functional as F

from conv import channels_first, channels_last, convolution
from training import bias_spec, train, weight_spec
from values import rounded, write_cases

STEPS = 200
SMALL = {"scale": 0.1, "offset": 0.3}
IMAGE = [16, 16, 3]


def simple_cnn_parameters():
    return {
        "0.weight": weight_spec([3, 3, 3, 32]),
        "0.bias": bias_spec(32, 27),
        "2.weight": weight_spec([3, 3, 32, 64]),
        "2.bias": bias_spec(64, 288),
        "6.weight": weight_spec([2304, 128]),
        "6.bias": bias_spec(128, 2304),
        "8.weight": weight_spec([128, 10]),
        "8.bias": bias_spec(10, 128),
    }


def simple_cnn(p, running, training, x):
    x = F.relu(convolution(x, p["0.weight"], p["0.bias"]))
    x = F.relu(convolution(x, p["2.weight"], p["2.bias"]))
    x = channels_last(F.max_pool2d(channels_first(x), 2)).flatten(1)
    x = F.relu(x @ p["6.weight"] + p["6.bias"])
    return x @ p["8.weight"] + p["8.bias"]


def block_names(blocks):
    """Path, input channels, filters and stride of every block."""
    channels = 16
    for stage, filters in enumerate((16, 32, 64), 1):
        for i in range(blocks):
            yield f"layer{stage}.{i}", channels, filters, 2 if i == 0 and stage > 1 else 1
            channels = filters


def resnet_parameters(blocks, projection):
    specs = {}

    def conv_and_norm(conv, norm, kernel, inputs, outputs):
        specs[f"{conv}.weight"] = weight_spec([kernel, kernel, inputs, outputs])
        specs[f"{norm}.weight"] = {"shape": [outputs], **(SMALL if norm.endswith("bn2") else {"scale": 0.25, "offset": 1})}
        specs[f"{norm}.bias"] = {"shape": [outputs], "scale": 0.1}

    conv_and_norm("conv1", "bn1", 3, 3, 16)
    for path, inputs, outputs, stride in block_names(blocks):
        conv_and_norm(f"{path}.conv1", f"{path}.bn1", 3, inputs, outputs)
        conv_and_norm(f"{path}.conv2", f"{path}.bn2", 3, outputs, outputs)
        if projection and stride > 1:
            conv_and_norm(f"{path}.downsample.0", f"{path}.downsample.1", 1, inputs, outputs)
    specs["linear.weight"] = weight_spec([64, 10])
    specs["linear.bias"] = bias_spec(10, 64)
    return specs


def resnet(blocks, projection):
    def forward(p, running, training, x):
        def norm(name, x):
            channels = x.shape[-1]
            for key, value in ((f"{name}.running_mean", 0.0), (f"{name}.running_var", 1.0)):
                running.setdefault(key, torch.full([channels], value, dtype=x.dtype))
            statistics = running[f"{name}.running_mean"], running[f"{name}.running_var"]
            affine = p[f"{name}.weight"], p[f"{name}.bias"]
            return channels_last(F.batch_norm(channels_first(x), *statistics, *affine, training, 0.1, 1e-5))

        def conv(name, x, stride=1, padding=1):
            return convolution(x, p[f"{name}.weight"], stride=stride, padding=padding)

        x = F.relu(norm("bn1", conv("conv1", x)))
        for path, inputs, outputs, stride in block_names(blocks):
            y = F.relu(norm(f"{path}.bn1", conv(f"{path}.conv1", x, stride)))
            y = norm(f"{path}.bn2", conv(f"{path}.conv2", y))
            if stride > 1 and projection:
                x = norm(f"{path}.downsample.1", conv(f"{path}.downsample.0", x, stride, 0))
            elif stride > 1:
                x = F.pad(x[:, ::stride, ::stride], [(outputs - inputs) // 2] * 2)
            x = F.relu(y + x)
        return x.mean((1, 2)) @ p["linear.weight"] + p["linear.bias"]

    return forward


def last(losses):
    return sum(losses[-20:]) / 20


def curve(name, forward, specs, salt, count, learning_rate):
    parameters = [{"name": key, **spec, "salt": salt + i} for i, (key, spec) in enumerate(specs.items())]
    batches = {
        "count": count,
        "images": {"shape": [16, *IMAGE], "salt": salt + 1000, "scale": 0.5, "offset": 0.5},
        "labels": {"shape": [16], "salt": salt + 2000, "integers": 10},
    }
    optimizer = {"name": "sgd", "learningRate": learning_rate, "momentum": 0.9}
    setting = (forward, parameters, batches, optimizer, STEPS)
    losses, losses32 = train(torch.float64, *setting)[0], train(torch.float32, *setting)[0]
    first = max(abs(a - b) for a, b in zip(losses32[:10], losses))
    final = abs(last(losses32) / last(losses) - 1)
    print(f"{name}: {losses[0]:.3f} to {last(losses):.4f}; float32 differs by {first:.1e} at first, {final:.1e} at last")
    return {
        "name": name,
        "parameters": parameters,
        "batches": batches,
        "optimizer": optimizer,
        "losses": [rounded(v) for v in losses],
        "float32": {"first": float(f"{first:.1e}"), "last": float(f"{final:.1e}")},
    }


if __name__ == "__main__":
    cases = [
        curve("simpleCnn", simple_cnn, simple_cnn_parameters(), 500_000, 4, 0.008),
        curve("resnet8", resnet(1, True), resnet_parameters(1, True), 510_000, 8, 0.005),
        curve("resnet20", resnet(3, False), resnet_parameters(3, False), 520_000, 8, 0.002),
    ]
    write_cases("curves.golden.json", cases)
