"""The paper's nine objectives, from penultimate features [N, M] to the mean loss over the batch.

Equations and default hyperparameters (Table A.1) are those of Kornblith et al. 2021. Targets are
labels [N] or distributions [N, K]; the last layer is an `nn.Linear` (weight [K, M], bias [K]).
"""

import math
from dataclasses import dataclass
from typing import Callable, Optional

import torch
import torch.nn.functional as F

KEEP = 0.7
FINAL_L2 = 8e-4
PENALTY = 6e-4
NORM_TAU = 0.04
COSINE_TAU = 0.05
SMOOTHING = 0.1
KAPPA = 9.0
M = 60.0
# |z|^2 is taken as at least 1e-12, and the norm is a constant where that floor holds.
NORM_FLOOR = 1e-6


def one_hot(targets, classes, dtype):
    if targets.ndim == 2:
        return targets
    return F.one_hot(targets, classes).to(dtype)


def softmax_cross_entropy(logits, targets):
    """Equation 1, mean over the batch: log-sum-exp(z) - t.z (targets that sum to 1)."""
    t = one_hot(targets, logits.shape[1], logits.dtype)
    return (torch.logsumexp(logits, 1) - (t * logits).sum(1)).mean()


def label_smoothing(logits, targets, alpha=SMOOTHING):
    """Equation 2: cross-entropy with (1 - alpha) t + alpha / K, divided by 1 - alpha."""
    classes = logits.shape[1]
    t = one_hot(targets, classes, logits.dtype)
    return softmax_cross_entropy(logits, (1 - alpha) * t + alpha / classes) / (1 - alpha)


def logit_penalty(logits, targets, beta=PENALTY):
    """Equation 5: cross-entropy plus beta |z|^2."""
    return softmax_cross_entropy(logits, targets) + beta * logits.pow(2).sum(1).mean()


def logit_norm(logits, targets, tau=NORM_TAU):
    """Equation 6: cross-entropy of z / (tau |z|)."""
    return softmax_cross_entropy(F.normalize(logits, dim=1, eps=NORM_FLOOR) / tau, targets)


def sigmoid_cross_entropy(logits, targets):
    """Equation 8: the sum over classes of softplus(z) - t z, mean over the batch."""
    t = one_hot(targets, logits.shape[1], logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, t, reduction='none').sum(1).mean()


def squared_error(logits, targets, kappa=KAPPA, m=M, scale=None):
    """Equation 9 times `scale`, mean over the batch.

    scale * (1/K) * sum_k [kappa t_k (z_k - M)^2 + (1 - t_k) z_k^2]. The paper's scale of 10 was
    tuned at K = 1000; by default it is 10 * K / 1000, which keeps the gradient of one logit.
    """
    classes = logits.shape[1]
    if scale is None:
        scale = 10.0 * classes / 1000.0
    t = one_hot(targets, classes, logits.dtype)
    terms = kappa * t * (logits - m) ** 2 + (1 - t) * logits**2
    return (scale / classes * terms.sum(1)).mean()


def cosine_logits(features, fc, tau=COSINE_TAU):
    """Equation 7: sim(W_k, x) / tau + b_k; features and weights are both normalised."""
    x = F.normalize(features, dim=1, eps=NORM_FLOOR)
    return F.linear(x, F.normalize(fc.weight, dim=1, eps=NORM_FLOOR)) / tau + fc.bias


def drop_features(features, keep=KEEP):
    """Equation 3: x * xi / keep, xi ~ Bernoulli(keep)."""
    return F.dropout(features, 1 - keep)


def weight_penalty(fc, factor=FINAL_L2):
    """Equation 4: lambda |W|^2 of the last layer's weight, not of its bias."""
    return factor * fc.weight.pow(2).sum()


@dataclass(frozen=True)
class Objective:
    """What happens from the penultimate features on."""

    loss: Callable = softmax_cross_entropy
    logits: Callable = lambda features, fc: fc(features)
    features_in_training: Callable = lambda features: features
    of_last_layer: Optional[Callable] = None
    # Initial bias of the last layer for K classes, where it is not nn.Linear's own.
    initial_bias: Optional[Callable] = None

    def prepare(self, fc):
        if self.initial_bias:
            torch.nn.init.constant_(fc.bias, self.initial_bias(fc.out_features))

    def training_loss(self, features, fc, targets):
        loss = self.loss(self.logits(self.features_in_training(features), fc), targets)
        return loss + self.of_last_layer(fc) if self.of_last_layer else loss


OBJECTIVES = {
    'softmax': Objective(),
    'label-smoothing': Objective(loss=label_smoothing),
    'dropout': Objective(features_in_training=drop_features),
    'extra-l2': Objective(of_last_layer=weight_penalty),
    'logit-penalty': Objective(loss=logit_penalty),
    'logit-norm': Objective(loss=logit_norm),
    'cosine-softmax': Objective(logits=cosine_logits),
    'sigmoid': Objective(loss=sigmoid_cross_entropy, initial_bias=lambda k: -math.log(k)),
    'squared-error': Objective(loss=squared_error),
}
