"""Writes test/fixtures/resnet50: what torchvision's own resnet50 computes, full width, 1000 classes.

    python3 reference/makeResnet50Fixtures.py              # the fixtures, about 3 minutes
    python3 reference/makeResnet50Fixtures.py --load W.safetensors --logits L.safetensors
    python3 reference/makeResnet50Fixtures.py --save W.safetensors

Weights are made from a hash on both sides (hashTensor.py), so that nothing of their 25 million
values is stored; of every result are stored its norm and elements 0, stride, 2 stride, ... (see
`sample`). Float64 is the oracle; what float32 makes of it is printed and kept in
results/resnet50Float32.json.

--load reads a file that gramgrad saved, strictly, and writes the logits of the first image batch;
--save writes the hash-made weights as PyTorch keeps them (state_dict, num_batches_tracked too).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torchvision.models import resnet50

from hashTensor import hash_tensor
from layouts import from_engine, to_engine, weight_to_engine
from makeParityFixtures import distances, fill
from objectives import softmax_cross_entropy
from resnet import sgd
from safetensorsFile import read_safetensors, write_safetensors

CLASSES = 1000
IMAGES = {'seed': 501, 'scale': 4.0}
GRADIENT_SHAPE = (2, 224, 224, 3)
STEP_SHAPE = (4, 64, 64, 3)
STEPS, LR, MOMENTUM, WEIGHT_DECAY, EMA = 5, 0.02, 0.9, 8e-5, 0.9
# Added to the betas inside blocks, which keeps most ReLUs open: around a kink float32 and float64
# part at once, and at 20 million activations PyTorch's own float32 gradients are then 1e-2 off. Not
# so much that all ReLUs of a channel are open, which small maps reach first: the batch norm that
# follows then cancels the beta's gradient, of which rounding is left. Not to the stem's: its max
# pool would see no ReLU closed, and the gradient of its beta would be 0.
GRADIENT_SHIFT, STEP_SHIFT, STEM_SHIFT = 3.0, 2.0, 0.0
SAMPLES = 96


def sample(array):
    """Elements 0, stride, 2 stride, ...; an odd stride, since an even one would visit few channels."""
    flat = np.asarray(array).reshape(-1)
    stride = -(-flat.size // SAMPLES)
    return flat[:: stride + (stride > 1 and (stride + 1) % 2)]


def images(shape, batch, dtype):
    count = int(np.prod(shape))
    flat = hash_tensor(((batch + 1) * count,), **IMAGES)[batch * count :]
    return from_engine(flat.reshape(shape), dtype)


def labels(count, batch):
    return torch.tensor([(37 * (batch * count + i)) % CLASSES for i in range(count)])


def model_of(dtype, beta_shift):
    return fill(resnet50(num_classes=CLASSES), dtype, beta_shift, STEM_SHIFT).train()


def forward_backward(dtype):
    model = model_of(dtype, GRADIENT_SHIFT)
    x, y = images(GRADIENT_SHAPE, 0, dtype), labels(GRADIENT_SHAPE[0], 0)
    logits = model(x)
    loss = softmax_cross_entropy(logits, y)
    loss.backward()
    gradients = {n: weight_to_engine(p.grad) for n, p in model.named_parameters()}
    with torch.no_grad():
        evaluated = model.eval()(x)
    forward = {'train': to_engine(logits), 'eval': to_engine(evaluated)}
    return {'forward': {**forward, 'loss': loss.detach().reshape(1).numpy()}, 'gradients': gradients}


def five_steps(dtype):
    model = model_of(dtype, STEP_SHIFT)
    optimiser = sgd(model, LR, MOMENTUM, WEIGHT_DECAY)
    averages = {n: t.clone() for n, t in state_of(model).items()}
    losses = []
    for step in range(STEPS):
        optimiser.zero_grad()
        loss = softmax_cross_entropy(model(images(STEP_SHAPE, step, dtype)), labels(4, step))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        for name, tensor in state_of(model).items():
            averages[name] += (1 - EMA) * (tensor - averages[name])
    named = dict(model.named_parameters())
    velocities = {n: optimiser.state[p]['momentum_buffer'] for n, p in named.items()}
    layout = lambda t: weight_to_engine(t) if t.ndim in (1, 2, 4) else t.numpy()
    return {
        'steps': {
            'losses': np.array(losses),
            **{n: layout(t) for n, t in state_of(model).items()},
            **{f'momentum.{n}': layout(t) for n, t in velocities.items()},
            **{f'ema.{n}': layout(t) for n, t in averages.items()},
        }
    }


def state_of(model):
    """Parameters and batch-norm buffers, without the counters."""
    state = model.state_dict()
    return {n: t.detach() for n, t in state.items() if 'num_batches' not in n}


def compute(dtype):
    return {**forward_backward(dtype), **five_steps(dtype)}


def round_trip(arguments):
    model = model_of(torch.float32, STEP_SHIFT)
    if arguments.save:
        write_state(arguments.save, model.state_dict())
        return
    tensors, _ = read_safetensors(arguments.load)
    state = {n: torch.from_numpy(a.copy()) for n, a in tensors.items()}
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        logits = model.eval()(images(STEP_SHAPE, 0, torch.float32))
    write_safetensors(arguments.logits, {'logits': logits.numpy()})


def write_state(path, state):
    """As safetensors.torch.save_file would: F32, and I64 for the counters."""
    header, blocks, offset = {}, [], 0
    for name, tensor in state.items():
        block = tensor.contiguous().numpy()
        kind = {'float32': 'F32', 'int64': 'I64'}[str(block.dtype)]
        end = offset + block.nbytes
        header[name] = {'dtype': kind, 'shape': list(block.shape), 'data_offsets': [offset, end]}
        blocks.append(block.tobytes())
        offset = end
    text = json.dumps({'__metadata__': {'format': 'pt'}, **header}).encode()
    Path(path).write_bytes(len(text).to_bytes(8, 'little') + text + b''.join(blocks))


def main():
    root = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=root.parent / 'test' / 'fixtures' / 'resnet50')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--load', type=Path)
    parser.add_argument('--logits', type=Path)
    parser.add_argument('--save', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.load or arguments.save:
        round_trip(arguments)
        return
    exact = compute(torch.float64)
    report = distances(exact, compute(torch.float32))
    for file, tensors in exact.items():
        stored = tensors
        if file != 'forward':
            stored = {n: sample(a) for n, a in tensors.items()}
            stored['norms'] = np.array([np.linalg.norm(a) for a in tensors.values()])
        metadata = {'names': json.dumps(list(tensors))}
        path = arguments.out / f'{file}.safetensors'
        write_safetensors(path, stored, metadata)
        print(f'{path}: {path.stat().st_size} bytes, {len(stored)} tensors')
    text = json.dumps(report, indent=2)
    (root / 'results' / 'resnet50Float32.json').write_text(text + '\n')
    print(text)


if __name__ == '__main__':
    main()
