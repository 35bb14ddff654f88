"""HDF5 files as h5py writes them, each base64 of gzip. Writes hdf5.golden.json.

Element i of every dataset is i, of the small floats i / 4, of the booleans i mod 2.
"""

import base64
import gzip
import json
import os
import tempfile

import h5py
import numpy as np


def written(fill, **options):
    path = os.path.join(tempfile.mkdtemp(), "file.h5")
    with h5py.File(path, "w", **options) as file:
        fill(file)
    with open(path, "rb") as file:
        return base64.b64encode(gzip.compress(file.read(), mtime=0)).decode()


def numbers(file):
    for dtype in ("<f4", ">f4", "<f8", "<f2", "<i8", ">i4", "<i2", "|i1", "|u1", "<u4", ">u8"):
        scale = 0.25 if dtype == "<f2" else 1
        file.create_dataset(dtype[1:] + ("be" if dtype[0] == ">" else ""), data=(np.arange(6) * scale).astype(dtype).reshape(2, 3))
    file.create_dataset("bool", data=np.arange(5) % 2 == 1)
    file.create_dataset("scalar", data=np.float32(7))
    file.create_dataset("empty", data=np.zeros((0, 4), "f4"))
    file.create_dataset("text", data="no number")
    file.create_dataset("complex", data=np.zeros(2, "c8"))
    # Keras stores bfloat16 as bytes without a meaning, and says so beside them.
    brain = (np.arange(4, dtype="f4") / 4).view("u4") >> 16
    file.create_dataset("bf16", data=brain.astype("u2").view("V2"))
    file["bf16"].attrs["dtype"] = "bfloat16"


def chunks(file):
    data = np.arange(5 * 6 * 7, dtype="f4").reshape(5, 6, 7)
    file.create_dataset("plain", data=data, chunks=(2, 3, 7))
    file.create_dataset("gzip", data=data, chunks=(2, 4, 3), compression="gzip")
    file.create_dataset("shuffled", data=data, chunks=(3, 4, 3), compression="gzip", shuffle=True)
    file.create_dataset("summed", data=data, chunks=(5, 2, 3), shuffle=True, fletcher32=True)
    file.create_dataset("lzf", data=data, chunks=(5, 6, 7), compression="lzf")
    file.create_dataset("many", data=np.arange(400, dtype="<i4"), chunks=(2,))


def attributes(file):
    file.attrs["text"] = "any length: 卷积"
    file.attrs["bytes"] = b"bytes"
    file.attrs["fixed"] = np.bytes_("fixed")
    file.attrs["names"] = [b"conv", b"dense_1"]
    file.attrs["texts"] = ["a", "bc"]
    file.attrs["none"] = []
    file.attrs["number"] = np.int32(-3)
    file.attrs["float"] = 0.5
    file.attrs["big"] = np.array([1, 258], ">u2")
    file.attrs["empty"] = h5py.Empty("f4")
    for i in range(40):
        file.attrs[f"more{i}"] = "x" * (10 * i)
    group = file.create_group("a/b")
    group.create_dataset("c", data=np.arange(3, dtype="f4"))
    file["again"] = file["a/b/c"]
    file["soft"] = h5py.SoftLink("/a/b/c")
    file["other"] = h5py.ExternalLink("elsewhere.h5", "/c")
    for i in range(60):
        group.create_group(f"g{i}")


def latest(file):
    file.attrs["text"] = "any length"
    group = file.create_group("g")
    group.attrs["names"] = [b"a", b"bc"]
    group.create_dataset("plain", data=np.arange(6, dtype="f4").reshape(2, 3))
    group.create_dataset("one", data=np.arange(6, dtype="f4").reshape(2, 3), chunks=(2, 3))
    group.create_dataset("gzip", data=np.arange(600, dtype="f4").reshape(20, 30), chunks=(20, 30), compression="gzip")


def circle(file):
    group = file.create_group("a")
    group["b"] = file


files = {
    "numbers": written(numbers),
    "chunks": written(chunks),
    "attributes": written(attributes),
    "latest": written(latest, libver="latest"),
    "behind": written(lambda file: file.create_dataset("x", data=np.arange(4, dtype="f4")), userblock_size=1024),
    "circle": written(circle),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5.golden.json"), "w") as out:
    json.dump(files, out, indent=1)
    out.write("\n")
