"""Every other operation in float64: results and input gradients. Writes ops.golden.json.

A case has `inputs` by name (specifications of the formula, values.py; tensors are channels last), `options`, `outputs`
by name and `gradients` of the float inputs. `upstream` is the gradient of output `y`; without it y is a scalar and its
gradient 1. Names and conventions of an op stand above its cases.

In float32 PyTorch itself is within 1e-6 of these numbers, but for the ill-conditioned ones: batchNorm "training 2d large
mean" 2e-5, softmax and logsumexp with "offset 500" 1e-5.
"""

import math

import torch
import torch.nn.functional as F

from conv import channels_first, channels_last, pad_spatial, pads_of, per_axis
from values import golden, golden_input, write_cases

torch.set_num_threads(1)

cases = []


def case(op, detail, run, inputs, frozen=(), **options):
    """Runs `run(**inputs, **options)`: y, or a dict of outputs with y among them. `frozen` inputs get no gradient."""
    salt = 100_000 + 16 * len(cases)
    specs = {name: {"shape": spec[0], "salt": salt + i, **spec[1]} for i, (name, spec) in enumerate(inputs.items())}
    tensors = {name: torch.tensor(golden_input(spec)) for name, spec in specs.items()}
    wanted = [name for name, t in tensors.items() if t.is_floating_point() and name not in frozen]
    for name in wanted:
        tensors[name].requires_grad_()
    outputs = run(**tensors, **options)
    outputs = outputs if isinstance(outputs, dict) else {"y": outputs}
    y = outputs["y"]
    record = {"name": f"{op} {detail}", "op": op, "inputs": specs, "options": options}
    if y.dim() > 0:
        record["upstream"] = {"shape": list(y.shape), "salt": salt + 15}
        y.backward(torch.tensor(golden_input(record["upstream"])))
    else:
        y.backward()
    record["outputs"] = {name: golden(value) for name, value in outputs.items()}
    record["gradients"] = {name: golden(tensors[name].grad) for name in wanted}
    cases.append(record)


def of(shape, **range):
    return (shape, range)


# New cases go to the end: a case's salt follows from its place.

# matmul: numpy's rules. A vector on the left is a row, on the right a column, and that axis is dropped from the result;
# leading axes broadcast.
for a, b in [
    ([2, 3], [3, 4]), ([1, 1], [1, 1]), ([1, 5], [5, 1]), ([5, 1], [1, 7]), ([5, 7], [7, 17]), ([17, 3], [3, 5]),
    ([33, 65], [65, 47]), ([4, 300], [300, 3]), ([64, 32], [32, 10]), ([1, 257], [257, 40]), ([7], [7]), ([3, 4], [4]),
    ([4], [4, 5]), ([2, 3, 4], [2, 4, 5]), ([3, 17, 9], [3, 9, 33]), ([2, 1, 3, 4], [5, 4, 6]), ([2, 3, 4], [4, 5]),
    ([3, 4], [2, 4, 5]), ([2, 3, 4], [4]), ([4], [2, 4, 3]), ([2, 3, 5, 8], [2, 3, 8, 5]),
]:  # fmt: skip
    case("matmul", f"{a} by {b}", lambda a, b: torch.matmul(a, b), {"a": of(a), "b": of(b)})


# maxPool and avgPool: options kernelSize, stride, padding as in a convolution (default 'valid'; padded with -inf and
# with 0), sizes rounded down (ceil_mode off). Equal maxima: the first of a window, in row-major order, gets the
# gradient. avgPool divides by the window's size (countIncludePad true), or by how much of the window lies inside.
def pool_geometry(x, kernelSize, stride, padding):
    rank = x.dim() - 2
    kernel, steps = per_axis(kernelSize, rank), per_axis(stride, rank)
    return rank, kernel, steps, pads_of(padding, list(x.shape[1:-1]), kernel, steps, [1] * rank)


def max_pool(x, kernelSize, stride, padding="valid"):
    rank, kernel, steps, pads = pool_geometry(x, kernelSize, stride, padding)
    run = F.max_pool1d if rank == 1 else F.max_pool2d
    return channels_last(run(pad_spatial(channels_first(x), pads, -math.inf), kernel, steps))


def avg_pool(x, kernelSize, stride, padding="valid", countIncludePad=True):
    rank, kernel, steps, pads = pool_geometry(x, kernelSize, stride, padding)
    run = F.avg_pool1d if rank == 1 else F.avg_pool2d
    mean = run(pad_spatial(channels_first(x), pads), kernel, steps)
    if not countIncludePad:
        mean = mean / run(pad_spatial(torch.ones_like(channels_first(x)), pads), kernel, steps)
        if isinstance(padding, int):  # our counting against PyTorch's own
            own = run(channels_first(x), kernel, steps, padding, count_include_pad=False)
            assert torch.allclose(mean, own)
    return channels_last(mean)


for detail, x, options in [
    ("2d 2x2", [2, 8, 8, 5], dict(kernelSize=2, stride=2)),
    ("2d 2x2, odd size", [1, 7, 9, 17], dict(kernelSize=2, stride=2)),
    ("2d 3x3 stride 2 padding 1", [2, 8, 9, 3], dict(kernelSize=3, stride=2, padding=1)),
    ("2d 3x3 stride 1, overlapping", [1, 6, 6, 4], dict(kernelSize=3, stride=1)),
    ("2d 3x3 stride 1 same", [1, 5, 6, 3], dict(kernelSize=3, stride=1, padding="same")),
    ("2d 2x2 stride 2 same, odd size", [1, 5, 7, 3], dict(kernelSize=2, stride=2, padding="same")),
    ("2d 2x2 stride 3: gaps", [1, 8, 8, 1], dict(kernelSize=2, stride=3)),
    ("2d 3x2 stride [1,2]", [2, 6, 7, 3], dict(kernelSize=[3, 2], stride=[1, 2])),
    ("2d asymmetric", [1, 6, 6, 5], dict(kernelSize=3, stride=2, padding=[[0, 1], [1, 0]])),
    ("2d whole image", [3, 5, 4, 17], dict(kernelSize=[5, 4], stride=1)),
    ("2d 12x12 of 64", [1, 24, 24, 64], dict(kernelSize=2, stride=2)),
    ("1d 2", [2, 10, 3], dict(kernelSize=2, stride=2)),
    ("1d 3 stride 2 padding 1", [2, 11, 5], dict(kernelSize=3, stride=2, padding=1)),
    ("1d 4 stride 1, overlapping", [1, 9, 17], dict(kernelSize=4, stride=1)),
    ("1d 5 stride 3 same", [1, 14, 3], dict(kernelSize=5, stride=3, padding="same")),
]:
    case("maxPool", detail, max_pool, {"x": of(x)}, **options)
    case("avgPool", detail, avg_pool, {"x": of(x)}, **options)
    if "padding" in options:
        case("avgPool", f"{detail}, pad not counted", avg_pool, {"x": of(x)}, **options, countIncludePad=False)
coarse = dict(step=0.5)
case("maxPool", "2d ties", max_pool, {"x": of([2, 8, 8, 3], **coarse)}, kernelSize=2, stride=2)
case("maxPool", "2d ties, overlapping", max_pool, {"x": of([1, 7, 7, 5], **coarse)}, kernelSize=3, stride=2, padding=1)
case("maxPool", "1d ties, overlapping", max_pool, {"x": of([2, 12, 3], **coarse)}, kernelSize=3, stride=1)
case("maxPool", "2d all negative, padded", max_pool, {"x": of([1, 5, 5, 3], offset=-5)}, kernelSize=3, stride=2, padding=1)


# batchNorm: over every axis but the last; weight and bias [channels]. Training: the batch's mean and biased variance
# normalise; outputs runningMean and runningVariance are the statistics after the step,
# running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
def batch_norm(x, weight, bias, mean, variance, training, epsilon=1e-5, momentum=0.1):
    mean, variance = mean.clone(), variance.clone()
    turned = channels_first(x) if x.dim() > 2 else x
    y = F.batch_norm(turned, mean, variance, weight, bias, training, momentum, epsilon)
    y = channels_last(y) if x.dim() > 2 else y
    return {"y": y, "runningMean": mean, "runningVariance": variance} if training else y


def norm_inputs(x, channels, **range):
    return {"x": of(x, **range), "weight": of([channels], scale=0.5, offset=1), "bias": of([channels])}


for training in (True, False):
    mode = "training" if training else "evaluation"
    for detail, x, range_, options in [
        ("2d", [2, 5, 6, 3], {}, {}),
        ("2d 17 channels", [3, 4, 4, 17], dict(scale=3, offset=2), {}),
        ("2d batch 1, 64 channels", [1, 7, 7, 64], {}, {}),
        ("2d large mean", [4, 6, 6, 5], dict(scale=1, offset=30), {}),
        ("2d epsilon 1e-3, momentum 0.3", [2, 4, 4, 8], dict(scale=0.05), dict(epsilon=1e-3, momentum=0.3)),
        ("1d", [3, 9, 5], {}, {}),
        ("vectors", [8, 10], {}, {}),
    ]:
        inputs = norm_inputs(x, x[-1], **range_)
        inputs |= {"mean": of([x[-1]]), "variance": of([x[-1]], scale=0.5, offset=1)}
        case("batchNorm", f"{mode} {detail}", batch_norm, inputs, ("mean", "variance"), training=training, **options)


# layerNorm: over the last weight.ndim axes. groupNorm: over all spatial axes and the channels of a group (consecutive).
def layer_norm(x, weight, bias, epsilon=1e-5):
    return F.layer_norm(x, weight.shape, weight, bias, epsilon)


def group_norm(x, weight, bias, groups, epsilon=1e-5):
    return channels_last(F.group_norm(channels_first(x), groups, weight, bias, epsilon))


case("layerNorm", "[4,10]", layer_norm, norm_inputs([4, 10], 10))
case("layerNorm", "[3,1,17]", layer_norm, norm_inputs([3, 1, 17], 17))
case("layerNorm", "[2,5,5,24]", layer_norm, norm_inputs([2, 5, 5, 24], 24, scale=2, offset=-3))
case("layerNorm", "[2,9,33], epsilon 1e-3", layer_norm, norm_inputs([2, 9, 33], 33, scale=0.1), epsilon=1e-3)
two = {"x": of([3, 4, 6]), "weight": of([4, 6], scale=0.5, offset=1), "bias": of([4, 6])}
case("layerNorm", "[3,4,6] over two axes", layer_norm, two)
for x, groups in [([2, 5, 6, 8], 2), ([2, 4, 4, 17], 1), ([1, 6, 6, 6], 6), ([2, 3, 3, 32], 8), ([3, 10, 12], 4)]:
    case("groupNorm", f"{x} groups {groups}", group_norm, norm_inputs(x, x[-1], scale=2, offset=1), groups=groups)


# softmax, logSoftmax, logsumexp along `axis`, which logsumexp drops.
for name, run in [("softmax", torch.softmax), ("logSoftmax", torch.log_softmax), ("logsumexp", torch.logsumexp)]:
    for x, axis, range_ in [
        ([4, 10], -1, {}), ([3, 1], -1, {}), ([7], -1, {}), ([5, 17], -1, dict(scale=30)), ([2, 3, 33], -1, dict(scale=4)),
        ([2, 5, 4], 1, {}), ([6, 3], 0, dict(scale=5)), ([2, 3, 4, 1000], -1, dict(scale=3)),
        ([3, 5], -1, dict(scale=20, offset=500)),
    ]:  # fmt: skip
        extent = "".join(f", {key} {value}" for key, value in range_.items())
        case(name, f"{x} axis {axis}{extent}", lambda x, axis: run(x, axis), {"x": of(x, **range_)}, axis=axis)


# crossEntropy of logits [..., classes] with integer labels [...]: the mean over labels. With label smoothing s the
# target is (1 - s) * oneHot + s / classes. With class weights w every class's term is multiplied by w[class] (also in
# the smoothing part) and the sum divided by the sum of w[label].
def cross_entropy(logits, labels, classWeights=None, labelSmoothing=0.0):
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, labels.reshape(-1), classWeights, label_smoothing=labelSmoothing)


for leading, classes, range_ in [([8], 10, dict(scale=3)), ([1], 3, {}), ([5], 17, dict(scale=40)), ([2, 3, 4], 5, dict(scale=2))]:
    for weighted in (False, True):
        for options in ({}, {"labelSmoothing": 0.1}):
            extra = (", class weights" if weighted else "") + (", label smoothing" if options else "")
            inputs = {"logits": of([*leading, classes], **range_), "labels": of(leading, integers=classes)}
            if weighted:
                inputs["classWeights"] = of([classes], scale=0.5, offset=1)
            case("crossEntropy", f"{leading} of {classes}{extra}", cross_entropy, inputs, ("classWeights",), **options)

# Elementwise.
positive = dict(scale=2, offset=2.03125)
for name, run, ranges in [
    ("relu", F.relu, [dict(scale=2)]),
    ("leakyRelu", lambda x: F.leaky_relu(x, 0.01), [dict(scale=2)]),
    ("elu", F.elu, [dict(scale=4)]),
    ("silu", F.silu, [dict(scale=4), dict(scale=20)]),
    ("gelu", F.gelu, [dict(scale=4), dict(scale=0.1), dict(scale=12)]),
    ("geluTanh", lambda x: F.gelu(x, approximate="tanh"), [dict(scale=4), dict(scale=0.1), dict(scale=12)]),
    ("erf", torch.erf, [dict(scale=3), dict(scale=0.01), dict(scale=8)]),
    ("softplus", F.softplus, [dict(scale=4), dict(scale=15)]),
    ("hardSwish", F.hardswish, [dict(scale=5)]),
    ("hardSigmoid", F.hardsigmoid, [dict(scale=5)]),
    ("sigmoid", torch.sigmoid, [dict(scale=4), dict(scale=40)]),
    ("tanh", torch.tanh, [dict(scale=3), dict(scale=0.01), dict(scale=40)]),
    ("exp", torch.exp, [dict(scale=1), dict(scale=20), dict(scale=5, offset=-60)]),
    ("log", torch.log, [positive, dict(scale=1e-3, offset=1), dict(scale=1e6, offset=1.001e6)]),
    ("sqrt", torch.sqrt, [positive, dict(scale=1e6, offset=1.001e6)]),
]:
    for range_ in ranges:
        extent = ", ".join(f"{key} {value}" for key, value in range_.items())
        case(name, extent, lambda x: run(x), {"x": of([7, 23], **range_)})
case("leakyRelu", "slope 0.2", lambda x, slope: F.leaky_relu(x, slope), {"x": of([41], scale=3)}, slope=0.2)
case("elu", "alpha 0.5", lambda x, alpha: F.elu(x, alpha), {"x": of([41], scale=3)}, alpha=0.5)

# embedding: rows of table [rows, width] by integer indices; a row that comes twice gets both gradients.
for rows, width, indices in [(11, 5, [4, 6]), (3, 17, [20]), (50, 1, [7]), (6, 8, [1]), (40, 32, [3, 9])]:
    inputs = {"table": of([rows, width]), "indices": of(indices, integers=rows)}
    case("embedding", f"{rows} rows of {width}, {indices}", lambda table, indices: F.embedding(indices, table), inputs)

if __name__ == "__main__":
    write_cases("ops.golden.json", cases)
