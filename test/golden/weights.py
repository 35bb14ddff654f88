"""State dicts that need turning: small networks with flattens and reshapes. Writes weights.golden.json.

`tensors` are the entries of the state_dict as a file has them, shapes and order of values as in PyTorch; the formula fills
the one at place i with salt + i. `input` and `output` are in juanji's layout: channels last. In evaluation mode, float64.
The networks stand in src/io/weights/load.test.ts under the same names.
"""

import torch
from torch import nn

from values import golden, golden_input, write_cases

torch.set_num_threads(1)


class Reshape(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(-1, *self.shape)


class Branches(nn.Module):
    """Features of two flattened pictures and the input's mean behind each other."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(2, 3, 2), nn.Conv2d(2, 4, 3, stride=2), nn.Linear(3 * 12 + 4 * 2 + 2, 3)

    def forward(self, x):
        parts = [torch.relu(self.a(x)).flatten(1), self.b(x).flatten(1), x.mean((2, 3))]
        return self.head(torch.cat(parts, 1))


networks = {
    "classifier": (
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, (1, 2), groups=4, bias=False),
            nn.Flatten(),
            nn.BatchNorm1d(24),
            nn.Dropout(),
            nn.LayerNorm(24),
            nn.PReLU(24),
            nn.Linear(24, 5),
            nn.ReLU(),
            nn.Linear(5, 3),
        ),
        (3, 6, 4),
    ),
    "decoder": (
        nn.Sequential(
            nn.Linear(4, 30),
            nn.BatchNorm1d(30),
            nn.ReLU(),
            Reshape(5, 3, 2),
            nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1),
            nn.Conv2d(4, 2, 1),
        ),
        (4,),
    ),
    "sequence": (
        nn.Sequential(nn.Conv1d(3, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 6), Reshape(2, 3), nn.Conv1d(2, 2, 2)),
        (3, 5),
    ),
    "branches": (Branches(), (2, 4, 5)),
}


def spec_of(name, shape, salt):
    if name.endswith("running_var"):
        return {"shape": shape, "salt": salt, "scale": 0.5, "offset": 1.25}
    return {"shape": shape, "salt": salt}


def last_to_first(array):
    return array.transpose(0, -1, *range(1, array.ndim - 1))


cases = []
for place, (name, (net, shape)) in enumerate(networks.items()):
    net = net.double().eval()
    salt = 1000 * (place + 1)
    tensors = []
    for key, tensor in net.state_dict().items():
        if tensor.ndim == 0:
            continue
        spec = spec_of(key, list(tensor.shape), salt + 10 + len(tensors))
        tensor.copy_(torch.from_numpy(golden_input(spec)))
        tensors.append({"name": key, **spec})
    given = {"shape": [2, *shape[1:], shape[0]], "salt": salt}
    x = golden_input(given)
    with torch.no_grad():
        y = net(torch.from_numpy(last_to_first(x).copy() if x.ndim > 2 else x))
    y = y.movedim(1, -1)
    cases.append({"name": name, "input": given, "tensors": tensors, "output": golden(y)})
write_cases("weights.golden.json", cases)
