"""Published networks: names, shapes and numbers of parameters, and what comes out. Writes models.golden.json.

`tensors` are the entries of the state_dict in its order, shapes in PyTorch's layout (convolution [outChannels, inChannels /
groups, ...kernel], linear [outFeatures, inFeatures]), without `num_batches_tracked`, which counts steps and is no part
of the network here. resnet18 and mobileNetV2 are torchvision's resnet18 and mobilenet_v2; resnet34, resnet50 and
squeezeNet are taken from torchvision itself. CIFAR ResNets are those of akamaster's pytorch_resnet_cifar10, those with
projections (`B`) those of chenyaofo's pytorch-cifar-models. darknetTiny is pjreddie's tiny.cfg in its Keras form,
mlperfResnet8 and mobileNetV1 are the networks of mlcommons/tiny, with Keras's border of strided convolutions at the end.
`parameters` is their number, running statistics not counted; `widths` gives it for mobileNetV2 with other width
multipliers.

`logits` are those of `input`, a specification in juanji's layout, in evaluation mode and float64. The tensor at place i of
`tensors` is then filled by the formula with salt + i, in juanji's layout: variances and weights of norms with scale 0.25
and offset 1, biases and means with scale 0.1, other weights with scale sqrt(6 / fan-in).
"""

import math
import os

import torch
import torchvision
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


class Same(nn.Conv2d):
    """Keras's padding: where the stride leaves an odd pixel of border, it is at the end."""

    def forward(self, x):
        pads = []
        for extent, size, stride in reversed(list(zip(x.shape[2:], self.kernel_size, self.stride))):
            whole = max(0, (-(-extent // stride) - 1) * stride + size - extent)
            pads += [whole // 2, whole - whole // 2]
        return super().forward(F.pad(x, pads))


def keras_norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class DarknetTiny(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        groups = (((16, 3),), ((32, 3),), ((16, 1), (128, 3)) * 2, ((32, 1), (256, 3)) * 2, ((64, 1), (512, 3)) * 2 + ((128, 1),))
        self.features = nn.ModuleDict()
        self.pools = []
        inputs, section = 3, 0
        for group in groups:
            for filters, kernel in group:
                parts = {"conv": conv(inputs, filters, kernel), "bn": keras_norm(filters)}
                self.features[str(section)] = nn.ModuleDict(parts)
                inputs, section = filters, section + 1
            self.pools.append(section)
            section += 1
        self.classifier = nn.Conv2d(inputs, classes, 1)

    def forward(self, x):
        for section, part in self.features.items():
            if int(section) - 1 in self.pools:
                x = F.max_pool2d(x, 2)
            x = F.leaky_relu(part["bn"](part["conv"](x)), 0.1)
        return self.classifier(x).mean((2, 3))


class MlperfBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = Same(inputs, outputs, 3, stride), keras_norm(outputs)
        self.conv2, self.bn2 = Same(outputs, outputs, 3), keras_norm(outputs)
        self.downsample = Same(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class MlperfResNet8(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.bn1 = Same(3, 16, 3), keras_norm(16)
        self.layer1 = nn.Sequential(MlperfBlock(16, 16, 1))
        self.layer2 = nn.Sequential(MlperfBlock(16, 32, 2))
        self.layer3 = nn.Sequential(MlperfBlock(32, 64, 2))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv_dw, self.bn1 = Same(inputs, inputs, 3, stride, groups=inputs), keras_norm(inputs)
        self.conv_pw, self.bn2 = Same(inputs, outputs, 1), keras_norm(outputs)

    def forward(self, x):
        return F.relu(self.bn2(self.conv_pw(F.relu(self.bn1(self.conv_dw(x))))))


class MobileNetV1(nn.Module):
    def __init__(self, width=0.25, classes=2):
        super().__init__()
        inputs = int(32 * width)
        self.conv_stem, self.bn1 = Same(3, inputs, 3, 2), keras_norm(inputs)
        stages = []
        for filters, blocks, stride in ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)):
            outputs = int(filters * width)
            stages.append(nn.Sequential(*[
                Separable(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1) for i in range(blocks)
            ]))
            inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.classifier(self.blocks(F.relu(self.bn1(self.conv_stem(x)))).mean((2, 3)))


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
        "resnet34": record(torchvision.models.resnet34(), 630_000, 64),
        "resnet50": record(torchvision.models.resnet50(), 640_000, 64),
        # 65: the last pool rounds up.
        "squeezeNet": record(torchvision.models.squeezenet1_1(), 650_000, 65),
        "resnet32": record(ResNet(3, (16, 32, 64), 5, False, "linear", 10), 660_000, 32),
        "resnet44": record(ResNet(3, (16, 32, 64), 7, False, "linear", 10), 670_000, 32),
        "resnet56": record(ResNet(3, (16, 32, 64), 9, False, "linear", 10), 680_000, 32),
        "resnet110": record(ResNet(3, (16, 32, 64), 18, False, "linear", 10), 690_000, 32),
        "resnet20B": record(ResNet(3, (16, 32, 64), 3, True, "fc", 10), 700_000, 32),
        "resnet56B": record(ResNet(3, (16, 32, 64), 9, True, "fc", 10), 710_000, 32),
        "mobileNetV1": record(MobileNetV1(), 720_000, 96),
        "darknetTiny": record(DarknetTiny(), 730_000, 96),
        "mlperfResnet8": record(MlperfResNet8(), 740_000, 32),
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.golden.json")
    with open(path, "w") as file:
        lines = ",\n".join(f'"{name}":{compact(network)}' for name, network in networks.items())
        file.write("{\n" + lines + "\n}\n")
    for name, network in networks.items():
        largest = network["logits"]["max"]
        print(f"{name}: {network['parameters']} parameters, {len(network['tensors'])} tensors, logits up to {largest:.3g}")
