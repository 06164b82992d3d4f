"""What torchvision makes of given boxes, flips and policy steps: test/fixtures/augment.

Wants torchvision 0.14 and Pillow 9.4 (Debian 12). Pictures come from the hash of README.md, with
smooth and rough parts; both sides make them. Results are bytes, in one file:

    results.json    list of {name, mode, size, box, input, flip, first, resized, offset, ...}
    results.bin.gz  u8 [H, W, 3] each, at `offset`
    crops.json      boxes of torchvision's RandomResizedCrop: counts of areas and of log aspects over
                    100,000 draws
"""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, CenterCrop, RandomResizedCrop
from torchvision.transforms import InterpolationMode, Resize
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

FOLDER = Path(__file__).parent.parent / 'test/fixtures/augment'
FILTERS = {'bilinear': InterpolationMode.BILINEAR, 'bicubic': InterpolationMode.BICUBIC}


def hash_bytes(count, seed):
    """floor(256 u) of README.md's hash."""
    i = np.arange(count, dtype=np.uint64)
    u = (i * 2654435761 + (seed * 40503 + 12345)) & 0xFFFFFFFF
    u ^= u >> 15
    u = (u * 2246822519) & 0xFFFFFFFF
    u ^= u >> 13
    u = (u * 3266489917) & 0xFFFFFFFF
    u ^= u >> 16
    return (u >> 24).astype(np.int64)


def picture(height, width, seed):
    """u8 [H, W, 3]: ramps, an eighth of noise, and one block of pure noise."""
    noise = hash_bytes(height * width * 3, seed).reshape(height, width, 3)
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing='ij')
    ramp = 40 + (180 * y // height + 60 * c + 120 * x // width) % 190
    value = ramp + noise // 8 - 16
    rough = (y * 3 < height) & (x * 2 > width)
    return np.where(rough, noise, value).clip(0, 255).astype(np.uint8)


entries, blocks, offset = [], [], 0


def add(pixels, **entry):
    global offset
    pixels = np.asarray(pixels)
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    entries.append({**entry, 'height': pixels.shape[0], 'width': pixels.shape[1], 'offset': offset})
    blocks.append(pixels.tobytes())
    offset += pixels.size


def resized(image, box, size, filter_, antialias):
    """antialias 'pil', 'tensor' or 'none'."""
    if antialias == 'pil':
        return np.asarray(F.resized_crop(image, *box, size, FILTERS[filter_]))
    tensor = F.crop(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1), *box)
    tensor = F.resize(tensor, size, FILTERS[filter_], antialias=antialias == 'tensor')
    return tensor.permute(1, 2, 0).numpy()


def make_resizes():
    shapes = [  # height, width, box (top, left, height, width), output
        (97, 131, (3, 5, 80, 100), (48, 48)),
        (97, 131, (0, 0, 97, 131), (32, 40)),
        (97, 131, (10, 20, 24, 31), (48, 48)),
        (300, 260, (1, 0, 280, 255), (37, 53)),
        (40, 40, (0, 0, 40, 40), (40, 40)),
        (64, 64, (0, 0, 64, 64), (32, 32)),
        (30, 7, (0, 0, 30, 7), (32, 32)),
    ]
    for seed, (height, width, box, size) in enumerate(shapes):
        image = Image.fromarray(picture(height, width, seed))
        for filter_ in FILTERS:
            for antialias in ('pil', 'tensor', 'none'):
                for flip in (False, True):
                    if flip and antialias != 'pil':
                        continue
                    result = resized(image, box, size, filter_, antialias)
                    add(
                        result[:, ::-1] if flip else result,
                        kind='resize',
                        seed=seed,
                        size=[height, width],
                        box=box,
                        filter=filter_,
                        antialias=antialias,
                        flip=flip,
                    )


def make_evaluations():
    for seed, (height, width, resize, crop) in enumerate(
        [(75, 100, 36, 32), (101, 67, 37, 32), (64, 64, 32, 32), (50, 90, 33, 40), (33, 34, 36, 32)]
    ):
        image = Image.fromarray(picture(height, width, 20 + seed))
        result = CenterCrop(crop)(Resize(resize)(image))
        add(
            result,
            kind='evaluation',
            seed=20 + seed,
            size=[height, width],
            resize=resize,
        )


def make_policy_steps():
    space = AutoAugment(AutoAugmentPolicy.IMAGENET)._augmentation_space(10, (48, 56))
    wanted = {('Posterize', m) for m in range(10)}
    wanted |= {('Solarize', m) for m in (0, 3, 4, 5, 7, 8, 9)}
    wanted |= {('Rotate', m) for m in (0, 3, 8, 9)} | {('ShearX', m) for m in (0, 5, 9)}
    wanted |= {(op, m) for op in ('Color', 'Contrast', 'Sharpness') for m in (0, 2, 4, 7, 8, 9)}
    wanted |= {(op, None) for op in ('AutoContrast', 'Equalize', 'Invert')}
    pictures = {
        30: picture(48, 56, 30),
        31: (picture(48, 56, 31) // 2 + 40).astype(np.uint8),
        32: np.full((48, 56, 3), 77, np.uint8),
    }
    for seed, pixels in pictures.items():
        for op, m in sorted(wanted, key=str):
            if seed != 30 and m not in (None, 8):
                continue
            magnitudes, signed = space[op]
            for sign in (-1, 1) if signed else (1,):
                magnitude = sign * float(magnitudes[m].item()) if m is not None else 0.0
                result = _apply_op(
                    Image.fromarray(pixels), op, magnitude, InterpolationMode.NEAREST, None
                )
                add(result, kind='step', seed=seed, size=[48, 56], op=op, magnitude=m, sign=sign)
    for seed, (first, second) in enumerate(AutoAugment()._get_policies(AutoAugmentPolicy.IMAGENET)):
        image = Image.fromarray(picture(48, 56, 40 + seed))
        for op, _, m in (first, second):
            magnitudes, signed = space[op]
            magnitude = float(magnitudes[m].item()) if m is not None else 0.0
            image = _apply_op(image, op, magnitude, InterpolationMode.NEAREST, None)
        add(image, kind='policy', seed=40 + seed, size=[48, 56], policy=seed)


def make_crops():
    """Counts over 20 equal bins of area share and of log aspect, from the boxes as placed."""
    torch.manual_seed(0)
    cases = []
    for height, width in ((500, 500), (375, 500), (100, 900)):
        image = torch.empty(3, height, width)
        scale, ratio = (0.1, 1.0), (0.75, 4 / 3)
        areas, aspects, fallbacks = np.zeros(20, int), np.zeros(20, int), 0
        for _ in range(100_000):
            top, left, h, w = RandomResizedCrop.get_params(image, scale, ratio)
            area = h * w / (height * width)
            aspect = math.log(w / h)
            low, high = math.log(ratio[0]), math.log(ratio[1])
            areas[min(19, max(0, int((area - scale[0]) / (scale[1] - scale[0]) * 20)))] += 1
            aspects[min(19, max(0, int((aspect - low) / (high - low) * 20)))] += 1
        cases.append(
            {
                'size': [height, width],
                'area': areas.tolist(),
                'logAspect': aspects.tolist(),
            }
        )
    (FOLDER / 'crops.json').write_text(json.dumps(cases, indent=1) + '\n')


FOLDER.mkdir(parents=True, exist_ok=True)
make_resizes()
make_evaluations()
make_policy_steps()
make_crops()
(FOLDER / 'results.json').write_text(json.dumps(entries) + '\n')
with gzip.GzipFile(FOLDER / 'results.bin.gz', 'wb', mtime=0) as file:
    file.write(b''.join(blocks))
