"""Fashion-MNIST from gzip'd IDX files, as the engine reads and prepares it."""

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

CLASSES = 10
PADDING = 2


def read_idx(path):
    """A u8 array from a gzip'd IDX file of images (magic 2051) or labels (magic 2049)."""
    data = gzip.decompress(Path(path).read_bytes())
    magic = struct.unpack('>I', data[:4])[0]
    if magic not in (2049, 2051):
        raise ValueError(f'{path}: magic number {magic}, expected 2049 (labels) or 2051 (images)')
    dims = magic % 256
    shape = struct.unpack(f'>{dims}I', data[4 : 4 + 4 * dims])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)


def read_split(folder, split):
    """(images u8 [N, 28, 28], labels u8 [N]); split is 'train' or 't10k' (or 'test')."""
    folder = Path(folder)
    images = sorted(folder.glob(f'{split}-images*'))
    labels = sorted(folder.glob(f'{split}-labels*'))
    if len(images) != 1 or len(labels) != 1:
        raise FileNotFoundError(f'{folder}: expected one {split}-images* and one {split}-labels* file')
    return read_idx(images[0]), read_idx(labels[0])


def balanced_subset(images, labels, count, seed):
    """`count` images, the same number of each class, drawn without replacement."""
    rng = np.random.default_rng(seed)
    each = count // CLASSES
    picks = [rng.permutation(np.flatnonzero(labels == k))[:each] for k in range(CLASSES)]
    index = rng.permutation(np.concatenate(picks))
    return images[index], labels[index]


def pixel_statistics(images):
    """Mean and standard deviation (population) of pixels / 255, before padding."""
    x = images.astype(np.float64) / 255
    return float(x.mean()), float(x.std())


def prepare(images, mean, std):
    """f32 [N, 3, 32, 32]: pad by 2 with raw zeros, normalise pixels / 255, repeat to 3 channels."""
    pad = ((0, 0), (PADDING, PADDING), (PADDING, PADDING))
    x = (np.pad(images, pad).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(x.astype(np.float32)).unsqueeze(1).repeat(1, 3, 1, 1)
