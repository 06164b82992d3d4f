"""What an objective did to the features, in float64."""

import torch


def class_separation(features, labels, classes):
    """R2 of equations 11 and 12 (cosine, class-balanced), of features [N, ...] flattened.

    R2 = (mean_k |m_k|^2 - |mbar|^2) / (1 - |mbar|^2), m_k the mean of class k's unit vectors and
    mbar the unweighted mean of the m_k. A zero vector stays zero.
    """
    x = features.reshape(features.shape[0], -1).double()
    x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-300)
    means = torch.stack([x[labels == k].mean(0) for k in range(classes)])
    total = means.mean(0).pow(2).sum()
    return float((means.pow(2).sum(1).mean() - total) / (1 - total))


def nonzero_share(features):
    """Share of activations that are not exactly zero."""
    return float((features != 0).double().mean())
