"""The formula behind every golden number, and how results are written down. values.ts is its twin.

Nothing that goes into an operation is stored: both sides compute it. The element at linear index i (row-major, in
juanji's layout: channels last, weights [...kernel, inChannels / groups, outChannels]) of the tensor with a given salt is

    h     = hash32(salt, i)                          32-bit integer hash, below
    value = (2 * (h >> 19) + 1) / 8192 - 1           in (-1, 1), never 0, mean 0, exact in float32

A specification {"shape", "salt", "scale"?, "offset"?, "step"?} then means, in float64,
v = value * scale + offset, with `step` (a power of two: values that tie) floor(v / step) * step, and last rounded to
float32. {"shape", "salt", "integers": n} means h % n instead: labels and indices.
"""

import json
import os

import numpy as np

WHOLE = 200  # results with at most as many elements are stored whole
SAMPLES = 120  # the others at as many positions


def hash32(salt, index):
    mask = np.uint64(0xFFFFFFFF)
    h = ((np.asarray(index, np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B1)) & mask
    h ^= np.uint64(((salt + 1) * 0x85EBCA77) & 0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x85EBCA6B)) & mask
    h ^= h >> np.uint64(13)
    h = (h * np.uint64(0xC2B2AE35)) & mask
    h ^= h >> np.uint64(16)
    return h


def golden_values(salt, size, scale=1.0, offset=0.0, step=None):
    v = ((hash32(salt, np.arange(size)) >> np.uint64(19)).astype(np.float64) * 2 + 1) / 8192 - 1
    v = v * scale + offset
    if step is not None:
        v = np.floor(v / step) * step
    return v.astype(np.float32).astype(np.float64)


def golden_integers(salt, size, n):
    return (hash32(salt, np.arange(size)) % np.uint64(n)).astype(np.int64)


def golden_input(spec):
    """The array that a specification means: float64 values exact in float32, or int64."""
    size = int(np.prod(spec["shape"]))
    if "integers" in spec:
        return golden_integers(spec["salt"], size, spec["integers"]).reshape(spec["shape"])
    options = {key: spec[key] for key in ("scale", "offset", "step") if key in spec}
    return golden_values(spec["salt"], size, **options).reshape(spec["shape"])


def sample_positions(size):
    """First, last, and SAMPLES - 2 hashed ones (a position may come twice)."""
    return [0, size - 1] + [int(p) for p in hash32(size, np.arange(SAMPLES - 2)) % np.uint64(size)]


def rounded(value, digits=10):
    """So many significant digits, and no negative zero."""
    v = float(f"{float(value):.{digits}g}") + 0.0
    return int(v) if v == int(v) and abs(v) < 1e9 else v


def golden(result):
    """A result as stored: whole, or as samples with three sums (`dot` is the inner product with salt 0)."""
    array = np.asarray(result.detach().numpy() if hasattr(result, "detach") else result, np.float64)
    flat = array.reshape(-1)
    assert np.isfinite(flat).all()
    record = {"shape": list(array.shape), "max": rounded(np.abs(flat).max())}
    if flat.size <= WHOLE:
        return {**record, "values": [rounded(v) for v in flat]}
    return {
        **record,
        "samples": [rounded(flat[p]) for p in sample_positions(flat.size)],
        "sum": rounded(flat.sum(), 14),
        "sumOfSquares": rounded((flat * flat).sum(), 14),
        "dot": rounded(flat @ golden_values(0, flat.size), 14),
    }


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write_cases(name, cases):
    """A JSON array with one case a line, beside this script."""
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), "case names must differ"
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w") as file:
        file.write("[\n" + ",\n".join(compact(case) for case in cases) + "\n]\n")
    print(f"{name}: {len(cases)} cases, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    print("hash32(0, 0..3)    ", hash32(0, np.arange(4)).tolist())
    print("hash32(7, 1e6)     ", int(hash32(7, 1_000_000)))
    print("values(1, 5)       ", golden_values(1, 5).tolist())
    print("values(4e9, 3)     ", golden_values(4_000_000_000, 3).tolist())
    print("scale .3 offset .1 ", golden_values(2, 4, 0.3, 0.1).tolist())
    print("step .5            ", golden_values(3, 6, step=0.5).tolist())
    print("integers(5, 8, 10) ", golden_integers(5, 8, 10).tolist())
    print("positions(1000)    ", sample_positions(1000)[:6])
    many = golden_values(9, 100_000)
    print("sums of 100,000    ", many.sum(), (many * many).sum())
