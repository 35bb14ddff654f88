"""Convolution in float64: result and gradients. Writes conv.golden.json.

A case has the shapes of `x` and `weight` in juanji's layout, `options` as conv1d and conv2d take them (only those that
are not the default), and a `salt`: x, weight, bias and the upstream gradient are the formula's values of salt, salt + 1,
salt + 2 and salt + 3. Results are `y`, `dx`, `dw` and, where `bias` is true, `db`. Groups are consecutive: output
channel o reads the input channels of group floor(o / (outChannels / groups)).
"""

import torch
import torch.nn.functional as F

from values import golden, golden_values, write_cases

torch.set_num_threads(1)


def per_axis(value, rank):
    return [value] * rank if isinstance(value, int) else list(value)


def pads_of(padding, size, kernel, stride, dilation):
    """[[before, after], ...] per spatial axis; 'same' is ONNX's SAME_UPPER."""
    rank = len(size)
    if padding == "valid":
        return [[0, 0]] * rank
    if padding == "full":
        return [[(k - 1) * d] * 2 for k, d in zip(kernel, dilation)]
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(size, kernel, stride, dilation)]
        return [[t // 2, t - t // 2] for t in totals]
    if isinstance(padding, int):
        return [[padding, padding]] * rank
    return padding


def pad_spatial(x, pads, value=0.0):
    """Pads [batch, channels, ...spatial]; F.pad wants the last axis first."""
    return F.pad(x, [p for pair in reversed(pads) for p in pair], value=value)


def channels_first(x):
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


def convolution(x, weight, bias=None, stride=1, dilation=1, groups=1, padding="valid"):
    """Convolution of a channels-last x with a weight [...kernel, inChannels / groups, outChannels]."""
    rank = x.dim() - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    kernel = list(weight.shape[:rank])
    pads = pads_of(padding, list(x.shape[1:-1]), kernel, stride, dilation)
    padded = pad_spatial(channels_first(x), pads)
    turned = weight.permute(rank + 1, rank, *range(rank)).contiguous()
    run = F.conv1d if rank == 1 else F.conv2d
    return channels_last(run(padded, turned, bias, stride=stride, dilation=dilation, groups=groups))


shapes = []


def case(name, x, kernel, out, bias=False, **options):
    kernel = [kernel] if isinstance(kernel, int) else list(kernel)
    weight = kernel + [x[-1] // options.get("groups", 1), out]
    shapes.append({"name": name, "salt": 16 * (len(shapes) + 1), "x": x, "weight": weight, "bias": bias, "options": options})


# New cases go to the end: a case's salt follows from its place.
# One image, one channel.
case("2d textbook valid", [1, 5, 5, 1], [3, 3], 1)
case("2d textbook same", [1, 5, 5, 1], [3, 3], 1, padding="same")
case("2d textbook full", [1, 5, 5, 1], [3, 3], 1, padding="full")
case("2d kernel larger than input, full", [1, 2, 2, 1], [3, 3], 1, padding="full")
case("2d kernel larger than input, same", [1, 2, 3, 2], [5, 5], 3, padding="same")
case("2d kernel larger than input, integer", [2, 3, 3, 3], [7, 7], 4, bias=True, padding=3)
case("2d kernel larger than input, end only", [1, 2, 2, 1], [3, 3], 1, padding=[[0, 2], [0, 2]])
# Strides and dilations.
case("2d stride 2", [2, 9, 9, 3], [3, 3], 5, stride=2)
case("2d stride 2, even size, tail unread", [2, 8, 8, 3], [3, 3], 5, stride=2)
case("2d stride 3", [2, 11, 11, 3], [3, 3], 5, bias=True, stride=3)
case("2d stride 3, kernel 2: gaps", [1, 10, 10, 4], [2, 2], 3, stride=3)
case("2d stride 2, same, even", [2, 8, 8, 3], [3, 3], 8, bias=True, stride=2, padding="same")
case("2d stride 2, same, odd", [2, 9, 7, 3], [3, 3], 8, stride=2, padding="same")
case("2d stride 3, same", [1, 10, 11, 5], [3, 3], 3, stride=3, padding="same")
case("2d stride 3, kernel 1, same", [1, 7, 8, 3], [1, 1], 5, stride=3, padding="same")
case("2d stride 2, padding 1", [2, 8, 8, 8], [3, 3], 16, stride=2, padding=1)
case("2d dilation 2", [2, 9, 9, 3], [3, 3], 5, dilation=2)
case("2d dilation 3", [1, 10, 10, 3], [3, 3], 5, bias=True, dilation=3)
case("2d dilation 2, same", [2, 7, 7, 5], [3, 3], 5, dilation=2, padding="same")
case("2d dilation 3, full", [1, 4, 5, 3], [3, 3], 4, dilation=3, padding="full")
case("2d stride 2, dilation 2", [2, 11, 11, 3], [3, 3], 5, stride=2, dilation=2)
case("2d stride 2, dilation 2, same", [2, 10, 9, 4], [3, 3], 8, bias=True, stride=2, dilation=2, padding="same")
case("2d stride 2, dilation 3, same", [1, 13, 12, 3], [3, 3], 5, stride=2, dilation=3, padding="same")
case("2d stride 3, dilation 2, padding 2", [1, 12, 13, 3], [3, 3], 17, stride=3, dilation=2, padding=2)
case("2d stride 3, dilation 3, full", [1, 5, 6, 2], [2, 3], 3, stride=3, dilation=3, padding="full")
case("2d stride [2,1]", [2, 9, 8, 3], [3, 3], 5, stride=[2, 1])
case("2d stride [1,3], dilation [2,1]", [1, 9, 12, 5], [3, 3], 3, stride=[1, 3], dilation=[2, 1], padding=1)
case("2d stride [2,3], dilation [3,2], same", [1, 13, 14, 3], [3, 2], 5, bias=True, stride=[2, 3], dilation=[3, 2], padding="same")
# Kernels that are not square, or even.
case("2d kernel 1x3", [2, 6, 7, 3], [1, 3], 5, padding="same")
case("2d kernel 3x1", [2, 6, 7, 5], [3, 1], 3, bias=True)
case("2d kernel 5x2", [1, 9, 6, 4], [5, 2], 6, padding="same")
case("2d kernel 2x2, same", [2, 5, 5, 3], [2, 2], 3, padding="same")
case("2d kernel 4x4, stride 2, same", [1, 9, 10, 3], [4, 4], 8, stride=2, padding="same")
case("2d kernel 4x4, full", [1, 3, 4, 2], [4, 4], 3, padding="full")
case("2d kernel 1x7, then only width", [1, 3, 19, 8], [1, 7], 8, padding=[[0, 0], [3, 3]])
case("2d kernel 5x5", [2, 12, 12, 8], [5, 5], 16, bias=True)
case("2d kernel 7x7, stride 2, 3 channels", [1, 32, 32, 3], [7, 7], 24, stride=2, padding=3)
case("2d kernel 7x7, stride 2, 3 channels, same", [2, 21, 22, 3], [7, 7], 16, bias=True, stride=2, padding="same")
# Padding per side.
case("2d asymmetric padding", [2, 5, 6, 3], [3, 3], 5, padding=[[1, 0], [2, 1]])
case("2d asymmetric padding, stride 2", [1, 6, 7, 4], [3, 3], 8, bias=True, stride=2, padding=[[0, 1], [1, 2]])
case("2d padding wider than the kernel", [1, 3, 3, 2], [2, 2], 3, padding=[[3, 0], [0, 4]])
case("2d integer padding wider than the kernel", [1, 4, 4, 3], [3, 3], 4, stride=2, padding=4)
case("2d padding at the start only", [1, 5, 5, 3], [3, 3], 3, padding=[[2, 0], [2, 0]])
# Few pixels.
case("2d one-pixel output", [2, 3, 3, 5], [3, 3], 17)
case("2d one-pixel output, batch 1, dilated", [1, 5, 7, 3], [3, 3], 5, bias=True, dilation=[2, 3])
case("2d one-pixel input, same", [1, 1, 1, 3], [3, 3], 5, padding="same")
case("2d one-pixel input, 1x1", [1, 1, 1, 17], [1, 1], 5, bias=True)
case("2d one-pixel output by a large stride", [3, 5, 5, 3], [3, 3], 4, stride=3)
case("2d one row", [2, 1, 20, 8], [3, 3], 8, padding="same")
case("2d one column", [2, 20, 1, 8], [3, 3], 8, padding="same")
# 1x1.
case("2d 1x1", [2, 7, 7, 17], [1, 1], 5)
case("2d 1x1, bias", [2, 5, 6, 32], [1, 1], 33, bias=True)
case("2d 1x1, stride 2", [2, 8, 8, 16], [1, 1], 32, stride=2)
case("2d 1x1, stride 2, odd", [1, 7, 9, 5], [1, 1], 17, bias=True, stride=2)
case("2d 1x1, padding 1", [1, 4, 4, 3], [1, 1], 5, bias=True, padding=1)
# Channel counts that fill no vector.
case("2d channels 1 to 17", [2, 8, 8, 1], [3, 3], 17, padding="same")
case("2d channels 17 to 1", [2, 8, 8, 17], [3, 3], 1, bias=True, padding="same")
case("2d channels 5 to 3", [1, 9, 9, 5], [3, 3], 3, padding="same")
case("2d channels 17 to 17, stride 2", [1, 9, 9, 17], [3, 3], 17, stride=2, padding="same")
case("2d channels 31 to 33", [1, 6, 7, 31], [3, 3], 33, padding=1)
# Groups and depthwise.
case("2d groups 2", [2, 6, 6, 4], [3, 3], 6, groups=2, padding="same")
case("2d groups 3, bias, stride 2", [1, 9, 9, 9], [3, 3], 15, bias=True, groups=3, stride=2, padding=1)
case("2d groups 2, channels 34 to 10", [1, 6, 6, 34], [3, 3], 10, groups=2)
case("2d groups 4, 1x1", [2, 5, 5, 32], [1, 1], 64, groups=4)
case("2d groups 2, wide groups", [1, 7, 9, 32], [3, 3], 48, groups=2, padding="same")
case("2d groups 2, dilation 2, same", [1, 8, 8, 6], [3, 3], 10, groups=2, dilation=2, padding="same")
case("2d depthwise", [2, 7, 7, 8], [3, 3], 8, groups=8, padding="same")
case("2d depthwise, 5 channels, bias", [1, 8, 9, 5], [3, 3], 5, bias=True, groups=5)
case("2d depthwise, stride 2, same", [2, 10, 10, 17], [3, 3], 17, groups=17, stride=2, padding="same")
case("2d depthwise, multiplier 2", [1, 7, 8, 6], [3, 3], 12, bias=True, groups=6, padding="same")
case("2d depthwise, multiplier 3, stride 2", [1, 9, 9, 5], [3, 3], 15, groups=5, stride=2, padding=1)
case("2d depthwise, multiplier 3, 3 channels, dilation 2", [2, 9, 9, 3], [3, 3], 9, groups=3, dilation=2, padding="same")
case("2d depthwise, 5x5, 33 channels", [1, 9, 12, 33], [5, 5], 33, groups=33, padding="same")
case("2d depthwise, dilation 3, stride 2", [1, 14, 13, 16], [3, 3], 16, groups=16, dilation=3, stride=2, padding=3)
case("2d depthwise, 1x1, multiplier 2", [1, 5, 5, 3], [1, 1], 6, groups=3)
case("2d one channel, multiplier 3", [2, 6, 6, 1], [3, 3], 3, bias=True, padding="full")
# Larger and wider: every tile and tail of vectorised kernels.
case("2d 14x14, 32 to 64", [2, 14, 14, 32], [3, 3], 64, bias=True, padding="same")
case("2d 14x14, 32 to 64, stride 2", [2, 14, 14, 32], [3, 3], 64, stride=2, padding=1)
case("2d 28x28, 1 to 32", [2, 28, 28, 1], [3, 3], 32, bias=True)
case("2d 26x26, 32 to 64", [1, 26, 26, 32], [3, 3], 64, bias=True)
case("2d 32x32, 3 to 16", [2, 32, 32, 3], [3, 3], 16, padding="same")
case("2d 8x8, 128 to 72", [1, 8, 8, 128], [3, 3], 72, padding="same")
case("2d width 33, 24 to 40", [1, 7, 33, 24], [3, 3], 40, padding="same")
case("2d width 33, 24 to 40, valid, bias", [2, 6, 33, 24], [3, 3], 40, bias=True)
case("2d width 33, 24 to 40, stride 2", [1, 9, 33, 24], [3, 3], 40, stride=2, padding="same")
case("2d width 33, 24 to 40, dilation 2", [1, 9, 33, 24], [3, 3], 40, dilation=2, padding="same")
case("2d width 33, 24 to 40, 1x1", [2, 5, 33, 24], [1, 1], 40, bias=True)
case("2d width 101, 3 to 8", [1, 5, 101, 3], [3, 3], 8, padding="same")
case("2d batch 5, width 19, 16 to 16", [5, 6, 19, 16], [3, 3], 16, padding="same")
# 1-D.
case("1d valid", [1, 9, 1], 3, 1)
case("1d same", [2, 10, 3], 3, 5, bias=True, padding="same")
case("1d full", [2, 6, 5], 4, 3, padding="full")
case("1d stride 2, same, even", [2, 12, 3], 3, 8, stride=2, padding="same")
case("1d stride 3", [2, 20, 5], 4, 17, bias=True, stride=3)
case("1d dilation 2, same", [1, 15, 4], 3, 6, dilation=2, padding="same")
case("1d dilation 3, causal", [2, 16, 8], 3, 8, dilation=3, padding=[[6, 0]])
case("1d stride 2, dilation 3, same", [1, 21, 3], 5, 5, stride=2, dilation=3, padding="same")
case("1d integer padding", [2, 11, 17], 5, 3, padding=2)
case("1d kernel larger than input", [1, 3, 2], 7, 3, bias=True, padding="same")
case("1d one-sample output", [2, 5, 5], 5, 17)
case("1d kernel 1", [2, 9, 17], 1, 5, bias=True)
case("1d kernel 1, stride 2", [1, 9, 8], 1, 16, stride=2)
case("1d groups 2", [2, 12, 6], 3, 10, groups=2, padding="same")
case("1d depthwise, kernel 9", [2, 24, 16], 9, 16, groups=16, padding="same")
case("1d depthwise, multiplier 2, stride 2", [1, 13, 5], 3, 10, bias=True, groups=5, stride=2, padding=1)
case("1d waveform, stride 3, kernel 25", [1, 400, 1], 25, 32, bias=True, stride=3)
case("1d 101 steps, 40 to 64", [2, 101, 40], 3, 64, bias=True, padding="same")
case("1d 33 steps, 64 to 65, stride 2", [2, 33, 64], 5, 65, stride=2, padding=2)
case("1d kernel 80, stride 3, 1 to 17", [1, 301, 1], 80, 17, stride=3, padding="same")


def results(shape):
    def leaf(salt, dims):
        size = torch.Size(dims).numel()
        return torch.tensor(golden_values(salt, size)).reshape(dims).requires_grad_()

    salt = shape["salt"]
    x, weight = leaf(salt, shape["x"]), leaf(salt + 1, shape["weight"])
    bias = leaf(salt + 2, [shape["weight"][-1]]) if shape["bias"] else None
    y = convolution(x, weight, bias, **shape["options"])
    y.backward(leaf(salt + 3, list(y.shape)).detach())
    found = {"y": golden(y), "dx": golden(x.grad), "dw": golden(weight.grad)}
    return {**found, "db": golden(bias.grad)} if shape["bias"] else found


if __name__ == "__main__":
    write_cases("conv.golden.json", [{**shape, **results(shape)} for shape in shapes])
