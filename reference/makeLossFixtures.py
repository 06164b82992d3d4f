"""Writes test/fixtures/losses: whole objectives from PyTorch in float64, from features to loss.

    python3 reference/makeLossFixtures.py

Inputs come from hashTensor.py and are not stored: features [N, M] (seed 21, every third value 0, as
after a ReLU), weight [M, K] (seed 22), bias [K] (seed 23). Hard labels are (i * 3 + K - 1) % K; soft
targets put 0.75 on class i % K and add 0.25 to class (i + 3) % K. The metadata's `cases` is a JSON list
of {name, objective, hyperparameters, variant, shape: [N, M, K], soft, scale}. Case `name` stores
`name/loss`, `name/dfeatures`, `name/dweight` and `name/dbias`, in the engine's layouts.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from hashTensor import hash_tensor
from safetensorsFile import write_safetensors

DEFAULTS = {
    'softmax': {},
    'label-smoothing': {'alpha': 0.1},
    'dropout': {'keep': 0.7},
    'extra-l2': {'lambda': 8e-4},
    'logit-penalty': {'beta': 6e-4},
    'logit-norm': {'tau': 0.04},
    'cosine-softmax': {'tau': 0.05},
    'sigmoid': {},
    'squared-error': {'kappa': 9.0, 'm': 60.0, 'scale': 10.0},
}
TERMS = ['dropout', 'logit-penalty', 'logit-norm', 'cosine-softmax']
LOSSES = ['softmax', 'label-smoothing', 'sigmoid', 'cosine-softmax']


def make_input(n, m, k, scale):
    features = hash_tensor([n, m], 21, scale)
    features.reshape(-1)[::3] = 0
    arrays = [features, hash_tensor([m, k], 22, 1.0), hash_tensor([k], 23, 1.0)]
    return [torch.tensor(array, dtype=torch.float64).requires_grad_() for array in arrays]


def make_targets(n, k, soft):
    i = torch.arange(n)
    if not soft:
        return F.one_hot((i * 3 + k - 1) % k, k).double()
    return 0.75 * F.one_hot(i % k, k).double() + 0.25 * F.one_hot((i + 3) % k, k).double()


def base_loss(name, z, t, values, released):
    """Equations 1, 2, 8 and 9, one loss an example."""
    k = z.shape[1]
    if name == 'sigmoid':
        if released:
            z = z - math.log(k)
        return F.binary_cross_entropy_with_logits(z, t, reduction='none').sum(1)
    if name == 'squared-error':
        terms = values['kappa'] * t * (z - values['m']) ** 2 + (1 - t) * z**2
        return values['scale'] * (terms.sum(1) if released else terms.mean(1))
    alpha = values.get('alpha', 0.0) if name == 'label-smoothing' else 0.0
    t = (1 - alpha) * t + alpha / k
    return -(t * F.log_softmax(z, 1)).sum(1) / (1 - alpha)


def objective(name, features, weight, bias, t, values, released):
    """The mean loss. Dropout's mask is all ones: the engine draws it, this does not."""
    *term, loss = name.split('+') if '+' in name else [name, name]
    term = term[0]
    of = lambda part, key: values.get(f'{part}.{key}', values.get(key))
    if 'cosine-softmax' in (term, loss):
        tau = of('cosine-softmax', 'tau')
        unit = F.normalize(weight, dim=0)
        if released:
            z = (features @ unit + bias) / tau
        else:
            z = F.normalize(features, dim=1) @ unit / tau + bias
    else:
        z = features @ weight + bias
    shifted = z - math.log(z.shape[1]) if released and loss == 'sigmoid' else z
    y = z
    if term == 'logit-norm':
        y = F.normalize(shifted, dim=1) / of('logit-norm', 'tau')
        if released and loss == 'sigmoid':
            y = y + math.log(z.shape[1])
    total = base_loss(loss, y, t, values, released).mean()
    if term == 'logit-penalty':
        beta = values['beta'] / (2 if released else 1)
        total = total + beta * (shifted**2).sum(1).mean()
    if term == 'extra-l2':
        total = total + values['lambda'] / (2 if released else 1) * (weight**2).sum()
    if 'lossScale' in values:
        total = values['lossScale'] * total
    return total


def cases():
    shape = (5, 9, 6)
    for name, values in DEFAULTS.items():
        for soft in (False, True):
            yield name, values, 'paper', shape, soft, 2.0
        yield name, values, 'released', shape, False, 2.0
        yield name, values, 'paper', (3, 16, 1000), False, 30.0
    for term in TERMS:
        for loss in LOSSES:
            if term == loss:
                continue
            clash = set(DEFAULTS[term]) & set(DEFAULTS[loss])
            values = {
                (f'{part}.{key}' if key in clash else key): value
                for part in (term, loss)
                for key, value in DEFAULTS[part].items()
            }
            yield f'{term}+{loss}', values, 'paper', shape, False, 2.0
            yield f'{term}+{loss}', values, 'released', shape, True, 2.0
    yield 'cosine-softmax', {'tau': 0.02, 'lossScale': 0.02}, 'paper', shape, False, 2.0


def main():
    described, results = [], {}
    for index, (name, values, variant, shape, soft, scale) in enumerate(cases()):
        n, m, k = shape
        features, weight, bias = make_input(n, m, k, scale)
        loss = objective(
            name, features, weight, bias, make_targets(n, k, soft), values, variant == 'released'
        )
        loss.backward()
        case = f'{index}'
        described.append(
            {
                'name': case,
                'objective': name,
                'hyperparameters': values,
                'variant': variant,
                'shape': list(shape),
                'soft': soft,
                'scale': scale,
            }
        )
        results[f'{case}/loss'] = loss.detach().reshape(1).numpy()
        for key, tensor in {'features': features, 'weight': weight, 'bias': bias}.items():
            gradient = tensor.grad.numpy()
            # Of 16,000 values one in 37 is kept.
            results[f'{case}/d{key}'] = gradient if k < 1000 else gradient.reshape(-1)[::37]
    path = Path(__file__).resolve().parent.parent / 'test/fixtures/losses/objectives.safetensors'
    write_safetensors(path, results, {'cases': json.dumps(described)})


if __name__ == '__main__':
    main()
