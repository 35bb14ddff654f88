"""Pictures resized by Pillow. Writes resize.golden.json.

Pixels are integers of the formula (values.py), 0 … 255, [height, width, channels]: noise, the hardest of pictures. `box`
is left, top, right, bottom; edges with few binary digits, because Pillow holds them in single precision. `resize` cases
keep the channels; `sample` cases take the middle in the proportions of the result, are laid on white where a fourth
channel makes them transparent, and turned to grey (Pillow's "L") when the result has one channel.
"""

import numpy as np
from PIL import Image

from values import golden_integers, write_cases

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

cases = []


def picture(shape):
    salt = len(cases) + 1
    pixels = golden_integers(salt, int(np.prod(shape)), 256).astype(np.uint8).reshape(shape)
    return {"shape": shape, "salt": salt, "integers": 256}, Image.fromarray(pixels[:, :, 0] if shape[2] == 1 else pixels)


def case(kind, name, image, to, result, **rest):
    pixels = np.asarray(result).reshape(-1).tolist()
    cases.append({"name": f"{kind} {name}", "kind": kind, "image": image, "to": to, **rest, "pixels": pixels})


for filter_name, filter_ in FILTERS.items():
    for shape, to, box in [
        ([8, 8, 1], [3, 3], None),
        ([7, 5, 3], [14, 11], None),
        ([40, 30, 3], [13, 9], None),
        ([20, 20, 1], [20, 20], None),
        ([1, 1, 3], [4, 3], None),
        ([1, 50, 1], [6, 7], None),
        ([33, 2, 3], [5, 9], None),
        ([200, 150, 3], [8, 8], None),
        ([640, 480, 1], [16, 12], None),
        ([900, 900, 3], [4, 4], None),
        ([9, 31, 3], [18, 8], None),
        ([24, 36, 3], [11, 11], [6, 2, 30, 20]),
        ([24, 36, 1], [11, 13], [6.5, 2.25, 30.75, 20.5]),
        ([300, 200, 3], [10, 10], [50, 100, 150, 200]),
        ([12, 12, 3], [12, 12], [3, 3, 6.5, 6.5]),
    ]:
        image, source = picture(shape)
        result = source.resize((to[1], to[0]), filter_, box=box)
        box_text = "" if box is None else f" of {box}"
        name = f"{filter_name} {shape} to {to}{box_text}"
        case("resize", name, image, to, result, filter=filter_name, **({} if box is None else {"box": box}))

for shape, to in [
    ([100, 100, 3], [16, 16, 3]),
    ([100, 100, 3], [16, 16, 1]),
    ([96, 128, 3], [12, 12, 3]),
    ([128, 96, 1], [12, 24, 1]),
    ([30, 90, 3], [15, 15, 1]),
    ([10, 12, 1], [20, 20, 3]),
    ([64, 48, 4], [12, 12, 3]),
    ([48, 64, 4], [12, 12, 1]),
    ([504, 756, 3], [14, 14, 3]),
]:
    image, source = picture(shape)
    if shape[2] == 4:
        source = Image.alpha_composite(Image.new("RGBA", source.size, "white"), source).convert("RGB")
    source = source.convert("L" if to[2] == 1 else "RGB")
    scale = min(shape[1] / to[1], shape[0] / to[0])
    left, top = (shape[1] - to[1] * scale) / 2, (shape[0] - to[0] * scale) / 2
    box = (left, top, left + to[1] * scale, top + to[0] * scale)
    case("sample", f"{shape} to {to}", image, to, source.resize((to[1], to[0]), FILTERS["bilinear"], box=box))

if __name__ == "__main__":
    write_cases("resize.golden.json", cases)
