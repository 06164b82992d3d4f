"""Tensors made from a hash of the element's index, so that fixtures need not store inputs.

For flat index i of the tensor in the engine's own layout (images NHWC, convolution weights HWIO,
linear weights [in, out]), all in unsigned 32-bit arithmetic:

    u = i * 2654435761 + (seed * 40503 + 12345)
    u ^= u >> 15;  u *= 2246822519;  u ^= u >> 13;  u *= 3266489917;  u ^= u >> 16

`hash_tensor`: f32(f32(u / 2^32 - 0.5) * f32(scale)), in [-scale/2, scale/2]; with an offset,
f32(offset + that). f32(.) rounds a float64 to the nearest float32; each product and sum is taken in
float64 of float32 operands and rounded once, which is what Math.fround(a * b) does.

`hash_levels`: floor(u * levels / 2^32) + offset, small integers (for ties).
"""

import numpy as np


def hash_u32(count, seed):
    """The hash of indices 0..count-1, as uint32."""
    i = np.arange(count, dtype=np.uint32)
    u = i * np.uint32(2654435761) + np.uint32((seed * 40503 + 12345) % 2**32)
    u ^= u >> np.uint32(15)
    u *= np.uint32(2246822519)
    u ^= u >> np.uint32(13)
    u *= np.uint32(3266489917)
    u ^= u >> np.uint32(16)
    return u


def hash_tensor(shape, seed, scale, offset=0.0):
    """float32 of `shape`, uniform over [-scale/2, scale/2] (+ offset)."""
    unit = (hash_u32(int(np.prod(shape)), seed).astype(np.float64) / 2**32 - 0.5).astype(np.float32)
    value = unit * np.float32(scale)
    if offset:
        value = np.float32(offset) + value
    return value.reshape(shape)


def hash_levels(shape, seed, levels, offset):
    """float32 of `shape`, integers offset .. offset + levels - 1."""
    u = hash_u32(int(np.prod(shape)), seed).astype(np.float64)
    return (np.floor(u * levels / 2**32) + offset).astype(np.float32).reshape(shape)
