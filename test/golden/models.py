"""Published networks: names, shapes and numbers of parameters, and what comes out. Writes models.golden.json.

`tensors` are the entries of the state_dict in its order, shapes in PyTorch's layout (convolution [outChannels, inChannels /
groups, ...kernel], linear [outFeatures, inFeatures]), without `num_batches_tracked`, which counts steps and is no part
of the network here. resnet18 and mobileNetV2 are torchvision's resnet18 and mobilenet_v2, resnet20 is that of
akamaster's pytorch_resnet_cifar10. `parameters` is their number, running statistics not counted; `widths` gives it for
mobileNetV2 with other width multipliers.

`logits` are those of `input`, a specification in juanji's layout, in evaluation mode and float64. The tensor at place i of
`tensors` is then filled by the formula with salt + i, in juanji's layout: variances and weights of norms with scale 0.25
and offset 1, biases and means with scale 0.1, other weights with scale sqrt(6 / fan-in).
"""

import math
import os

import torch
from torch import nn
from torch.nn import functional as F

from values import compact, golden, golden_input

torch.set_num_threads(1)


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Block(nn.Module):
    """A basic block. Where the shape changes, a projection or zeros as further channels."""

    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.stride, self.zeros = stride, (outputs - inputs) // 2
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        if projection and (stride > 1 or inputs != outputs):
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def around(self, x):
        if hasattr(self, "downsample"):
            return self.downsample(x)
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.zeros, self.zeros))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.around(x))


class ResNet(nn.Module):
    def __init__(self, stem, widths, blocks, projection, head, classes):
        super().__init__()
        inputs = widths[0]
        self.large, self.head = stem == 7, head
        self.conv1, self.bn1 = conv(3, inputs, stem, 2 if self.large else 1), nn.BatchNorm2d(inputs)
        for stage, outputs in enumerate(widths, 1):
            layers = []
            for i in range(blocks):
                layers.append(Block(inputs, outputs, 2 if stage > 1 and i == 0 else 1, projection))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        setattr(self, head, nn.Linear(inputs, classes))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        stages = [module for name, module in self.named_children() if name.startswith("layer")]
        return getattr(self, self.head)(nn.Sequential(*stages)(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        steps = [] if expansion == 1 else [conv_norm(inputs, inner, 1)]
        steps += [conv_norm(inner, inner, 3, stride, inner), conv(inner, outputs, 1), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*steps)
        self.goes_around = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.goes_around else self.conv(x)


def conv_norm(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU6())


class MobileNetV2(nn.Module):
    def __init__(self, width=1.0, classes=1000):
        super().__init__()

        def wide(filters, factor=width):
            exact = filters * factor
            nearest = max(8, int(exact + 4) // 8 * 8)
            return nearest + 8 if nearest < 0.9 * exact else nearest

        inputs = wide(32)
        features = [conv_norm(3, inputs, 3, 2)]
        table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
        for expansion, filters, blocks, stride in table:
            for i in range(blocks):
                features.append(InvertedResidual(inputs, wide(filters), stride if i == 0 else 1, expansion))
                inputs = wide(filters)
        last = wide(1280, max(1.0, width))
        self.features = nn.Sequential(*features, conv_norm(inputs, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def filled(name, shape, salt):
    """By the formula, in juanji's layout and turned to PyTorch's."""
    kernel = list(shape[2:])
    turned = [*kernel, *reversed(shape[:2])]
    if len(shape) > 1:
        spec = {"scale": math.sqrt(6 / math.prod(turned[:-1]))}
    else:
        spec = {"scale": 0.25, "offset": 1} if name.endswith(("weight", "running_var")) else {"scale": 0.1}
    values = torch.tensor(golden_input({"shape": turned, "salt": salt, **spec}))
    rank = len(turned)
    return values.permute(rank - 1, rank - 2, *range(rank - 2)) if rank > 1 else values


def record(net, salt, side):
    state = net.double().eval().state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    for i, name in enumerate(names):
        state[name].copy_(filled(name, state[name].shape, salt + i))
    spec = {"shape": [2, side, side, 3], "salt": salt + 1000}
    with torch.no_grad():
        logits = net(torch.tensor(golden_input(spec)).permute(0, 3, 1, 2))
    return {
        "parameters": count(net),
        "salt": salt,
        "input": spec,
        "logits": golden(logits),
        "tensors": [[name, list(state[name].shape)] for name in names],
    }


if __name__ == "__main__":
    networks = {
        "resnet18": record(ResNet(7, (64, 128, 256, 512), 2, True, "fc", 1000), 600_000, 96),
        "resnet20": record(ResNet(3, (16, 32, 64), 3, False, "linear", 10), 610_000, 32),
        "mobileNetV2": {
            **record(MobileNetV2(), 620_000, 96),
            "widths": {str(width): count(MobileNetV2(width)) for width in (0.1, 0.25, 0.35, 0.5, 0.75, 1.3, 1.4)},
        },
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.golden.json")
    with open(path, "w") as file:
        lines = ",\n".join(f'"{name}":{compact(network)}' for name, network in networks.items())
        file.write("{\n" + lines + "\n}\n")
    for name, network in networks.items():
        largest = network["logits"]["max"]
        print(f"{name}: {network['parameters']} parameters, {len(network['tensors'])} tensors, logits up to {largest:.3g}")
