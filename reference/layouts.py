"""Conversions between PyTorch's layouts and the engine's."""

import numpy as np
import torch


def to_engine(tensor):
    """Values: NCHW -> NHWC, others unchanged."""
    array = tensor.detach().cpu().numpy()
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def weight_to_engine(tensor):
    """Weights: OIHW -> HWIO, [out, in] -> [in, out], vectors unchanged."""
    array = tensor.detach().cpu().numpy()
    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim]
    return np.ascontiguousarray(array.transpose(axes))


def from_engine(array, dtype=torch.float64):
    """Values: NHWC -> NCHW, others unchanged."""
    t = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
    return t.permute(0, 3, 1, 2).contiguous() if t.ndim == 4 else t


def weight_from_engine(array, dtype=torch.float64):
    """Weights: HWIO -> OIHW, [in, out] -> [out, in], vectors unchanged."""
    t = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[t.ndim]
    return t.permute(*axes).contiguous()
