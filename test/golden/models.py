"""Names, shapes and numbers of parameters of published networks, without values. Writes models.golden.json.

`tensors` are the entries of the state_dict in its order, shapes in PyTorch's layout (convolution [outChannels, inChannels /
groups, ...kernel], linear [outFeatures, inFeatures]), without `num_batches_tracked`, which counts steps and is no part
of the network here. resnet18 and mobileNetV2 are torchvision's resnet18 and mobilenet_v2, resnet20 is that of
akamaster's pytorch_resnet_cifar10. `parameters` is their number, running statistics not counted; `widths` gives it for
mobileNetV2 with other width multipliers.
"""

import os

from torch import nn

from values import compact


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Block(nn.Module):
    """The parameters of a basic block."""

    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        if projection and (stride > 1 or inputs != outputs):
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, stem, widths, blocks, projection, head, classes):
        super().__init__()
        inputs = widths[0]
        self.conv1, self.bn1 = nn.Conv2d(3, inputs, stem, bias=False), nn.BatchNorm2d(inputs)
        for stage, outputs in enumerate(widths, 1):
            layers = []
            for i in range(blocks):
                layers.append(Block(inputs, outputs, 2 if stage > 1 and i == 0 else 1, projection))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        setattr(self, head, nn.Linear(inputs, classes))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        steps = [] if expansion == 1 else [conv_norm(inputs, inner, 1)]
        steps += [conv_norm(inner, inner, 3, stride, inner), conv(inner, outputs, 1), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*steps)


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


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def record(net):
    names = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    return {"parameters": count(net), "tensors": [[name, list(net.state_dict()[name].shape)] for name in names]}


if __name__ == "__main__":
    networks = {
        "resnet18": record(ResNet(7, (64, 128, 256, 512), 2, True, "fc", 1000)),
        "resnet20": record(ResNet(3, (16, 32, 64), 3, False, "linear", 10)),
        "mobileNetV2": {
            **record(MobileNetV2()),
            "widths": {str(width): count(MobileNetV2(width)) for width in (0.1, 0.25, 0.35, 0.5, 0.75, 1.3, 1.4)},
        },
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.golden.json")
    with open(path, "w") as file:
        lines = ",\n".join(f'"{name}":{compact(network)}' for name, network in networks.items())
        file.write("{\n" + lines + "\n}\n")
    for name, network in networks.items():
        print(f"{name}: {network['parameters']} parameters, {len(network['tensors'])} tensors")
