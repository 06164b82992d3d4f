"""Writes test/fixtures/parity: what PyTorch computes, in float64, for hash-made ResNet-50s.

    python3 reference/makeParityFixtures.py

Also runs everything in float32 and writes reference/results/parityFloat32.json: the distance of
PyTorch's own float32 from the float64 oracle, the yardstick for the tests' tolerances.
Inputs are float32 values (hashTensor.py) converted to float64. See README.md for names and seeds.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hashTensor import hash_tensor
from layouts import from_engine, to_engine, weight_from_engine, weight_to_engine
from objectives import softmax_cross_entropy, squared_error
from resnet import LAYER_NAMES, ResNet50, sgd
from safetensorsFile import write_safetensors

CLASSES, BATCH, STEPS = 10, 8, 5
LR = {'softmax': 0.02, 'squaredError': 0.002}
MOMENTUM, WEIGHT_DECAY = 0.9, 8e-5
# A seed for which no ReLU and no max pool of the first batch stands at its kink: see README.md.
IMAGES = {'seed': 133, 'scale': 4.0}
SEEDS = {'conv': 1000, 'fcWeight': 2000, 'fcBias': 2001, 'gamma': 3000, 'beta': 4000}
LAST_GAMMA = 0.25
# The five steps start with this added to every beta but those of bn3, which keeps most ReLUs open:
# around a kink float32 and float64 part at once, and five steps meet many.
STEPS_BETA_SHIFT = 2.0
SAMPLES = 512
CONFIGURATIONS = {'sixteenth': (1 / 16, False), 'quarter': (1 / 4, True)}
OBJECTIVES = {'softmax': softmax_cross_entropy, 'squaredError': squared_error}


def fill(model, dtype, beta_shift=0.0, stem_shift=None):
    """Sets every parameter from the hash, in module order (k counts convolutions and norms).

    `beta_shift` is added to every beta but those of bn3, `stem_shift` instead to that of the stem.
    """
    k_conv = k_norm = 0
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            o, i, r, s = module.weight.shape
            scale = 2 * math.sqrt(6 / (i * r * s))
            weight = hash_tensor((r, s, i, o), SEEDS['conv'] + k_conv, scale)
            module.weight.data = weight_from_engine(weight, dtype)
            k_conv += 1
        elif isinstance(module, nn.BatchNorm2d):
            n = module.num_features
            gamma = np.float32(1) + hash_tensor((n,), SEEDS['gamma'] + k_norm, 0.2)
            if name.endswith('bn3'):
                gamma = np.float32(LAST_GAMMA) * gamma
            module.weight.data = weight_from_engine(gamma, dtype)
            offset = 0.0 if name.endswith('bn3') else beta_shift
            if name == 'bn1' and stem_shift is not None:
                offset = stem_shift
            beta = hash_tensor((n,), SEEDS['beta'] + k_norm, 0.1, offset)
            module.bias.data = weight_from_engine(beta, dtype)
            k_norm += 1
        elif isinstance(module, nn.Linear):
            scale = 2 / math.sqrt(module.in_features)
            weight = hash_tensor((module.in_features, module.out_features), SEEDS['fcWeight'], scale)
            module.weight.data = weight_from_engine(weight, dtype)
            bias = hash_tensor((module.out_features,), SEEDS['fcBias'], scale)
            module.bias.data = weight_from_engine(bias, dtype)
    return model.to(dtype)


def batches(dtype):
    """STEPS batches of (images NCHW, labels, soft labels): one hash tensor, cut along N."""
    x = from_engine(hash_tensor((STEPS * BATCH, 32, 32, 3), **IMAGES), dtype)
    y = torch.arange(STEPS * BATCH) % CLASSES
    rows = torch.arange(STEPS * BATCH)
    soft = torch.zeros(STEPS * BATCH, CLASSES, dtype=dtype)
    soft[rows, y] = 0.75
    soft[rows, (y + 3) % CLASSES] += 0.25
    return [(x[i : i + BATCH], y[i : i + BATCH], soft[i : i + BATCH]) for i in range(0, len(x), BATCH)]


def layer_values(model, x, mode):
    layers = model.features(x)
    values = {f'{mode}/{n}': to_engine(layer) for n, layer in zip(LAYER_NAMES, layers)}
    return values, model.fc(layers[-1])


def compute(width, dtype):
    """All fixtures of one width: file name -> tensor name -> array in the engine's layout."""
    data = batches(dtype)
    x, y, soft = data[0]
    files = {'forward': {}}
    for objective, loss_of in OBJECTIVES.items():
        model = fill(ResNet50(width, CLASSES), dtype).train()
        values, logits = layer_values(model, x, 'train')
        loss = loss_of(logits, y)
        files['forward'][f'loss/{objective}'] = loss.detach().reshape(1).numpy()
        files['forward'][f'loss/{objective}Soft'] = loss_of(logits, soft).detach().reshape(1).numpy()
        loss.backward()
        files[f'{objective}Gradients'] = {
            n: weight_to_engine(p.grad) for n, p in model.named_parameters()
        }
        if objective == 'softmax':
            files['forward'].update(values)
            files['forward']['train/logits'] = to_engine(logits)
            files['runningStatistics'] = {
                n: b.numpy().copy() for n, b in model.named_buffers() if 'num_batches' not in n
            }
            model.eval()
            values, logits = layer_values(model, x, 'eval')
            files['forward'].update(values)
            files['forward']['eval/logits'] = to_engine(logits)

        model = fill(ResNet50(width, CLASSES), dtype, STEPS_BETA_SHIFT).train()
        optimiser = sgd(model, LR[objective], MOMENTUM, WEIGHT_DECAY)
        losses = []
        for images, labels, _ in data:
            optimiser.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        files[f'{objective}Steps'] = {
            'losses': np.array(losses),
            **{n: weight_to_engine(p) for n, p in model.named_parameters()},
        }
    return files


def share_moved(width, tensors):
    """Median over parameters of norm(after - before) / norm(before), for the five steps."""
    model = fill(ResNet50(width, CLASSES), torch.float64, STEPS_BETA_SHIFT)
    before = {n: weight_to_engine(p) for n, p in model.named_parameters()}
    moves = [np.linalg.norm(tensors[n] - b) / np.linalg.norm(b) for n, b in before.items()]
    return float(f'{np.median(moves):.2e}')


def distances(exact, other):
    """By file, the largest norm(difference) / norm over its tensors, and that over all of them."""
    report = {}
    for file, tensors in exact.items():
        pairs = {n: (a.astype(np.float64), other[file][n].astype(np.float64)) for n, a in tensors.items()}
        each = {n: np.linalg.norm(a - b) / np.linalg.norm(a) for n, (a, b) in pairs.items()}
        worst = max(each, key=each.get)
        difference = sum(np.sum((a - b) ** 2) for a, b in pairs.values())
        total = sum(np.sum(a**2) for a, _ in pairs.values())
        report[file] = {
            'worst': float(f'{each[worst]:.2e}'),
            'worstTensor': worst,
            'together': float(f'{math.sqrt(difference / total):.2e}'),
        }
    return report


def sample(array):
    """Elements 0, stride, 2 stride, ... of the flat tensor (at most SAMPLES).

    stride = ceil(n / SAMPLES), plus 1 where that is even: an even stride would visit few channels.
    """
    stride = -(-array.size // SAMPLES)
    return array.reshape(-1)[:: stride + (stride + 1) % 2]


def save(folder, name, width, sampled, files):
    settings = {
        'width': width,
        'classes': CLASSES,
        'batch': BATCH,
        'images': IMAGES,
        'seeds': SEEDS,
        'lastGamma': LAST_GAMMA,
        'optimiser': {'lr': LR, 'momentum': MOMENTUM, 'nesterov': True, 'weightDecay': WEIGHT_DECAY},
        'steps': STEPS,
        'stepsBetaShift': STEPS_BETA_SHIFT,
    }
    for file, tensors in files.items():
        metadata = {'settings': json.dumps(settings), 'sampled': json.dumps(sampled)}
        stored = tensors
        if sampled:
            metadata['shapes'] = json.dumps({n: list(a.shape) for n, a in tensors.items()})
            stored = {n: sample(a) for n, a in tensors.items()}
            stored['norms'] = np.array([np.linalg.norm(a) for a in tensors.values()])
        path = folder / name / f'{file}.safetensors'
        write_safetensors(path, stored, metadata)
        print(f'{path}: {path.stat().st_size} bytes, {len(stored)} tensors')


def main():
    root = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=root.parent / 'test' / 'fixtures' / 'parity')
    parser.add_argument('--threads', type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    report = {}
    for name, (width, sampled) in CONFIGURATIONS.items():
        exact = compute(width, torch.float64)
        report[name] = distances(exact, compute(width, torch.float32))
        for objective in OBJECTIVES:
            steps = f'{objective}Steps'
            report[name][steps]['medianMove'] = share_moved(width, exact[steps])
        save(a.out, name, width, sampled, exact)
    text = json.dumps(report, indent=2)
    (root / 'results').mkdir(exist_ok=True)
    (root / 'results' / 'parityFloat32.json').write_text(text + '\n')
    print(text)


if __name__ == '__main__':
    main()
