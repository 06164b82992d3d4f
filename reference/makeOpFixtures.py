"""Writes test/fixtures/ops: single ops from PyTorch in float64, one .safetensors an op.

    python3 reference/makeOpFixtures.py

Inputs come from hashTensor.py and are not stored. Each file's metadata holds, under `cases`, a JSON
list of {name, attributes, inputs}; an input is {shape, seed, scale, offset?} (hash_tensor) or
{shape, seed, levels, offset} (hash_levels), in the engine's layout. `dy` is the gradient of the
output. Case `name` stores its results as `name/y`, `name/dx`, ...
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from hashTensor import hash_levels, hash_tensor
from layouts import from_engine, to_engine, weight_from_engine, weight_to_engine
from objectives import softmax_cross_entropy, squared_error
from safetensorsFile import write_safetensors


def make(spec):
    """The float32 array of an input's description."""
    if 'levels' in spec:
        return hash_levels(spec['shape'], spec['seed'], spec['levels'], spec['offset'])
    return hash_tensor(spec['shape'], spec['seed'], spec['scale'], spec.get('offset', 0.0))


def uniform(shape, seed, scale=2.0, offset=0.0):
    spec = {'shape': list(shape), 'seed': seed, 'scale': scale}
    return {**spec, 'offset': offset} if offset else spec


def value(spec):
    return from_engine(make(spec)).requires_grad_()


def weight(spec):
    return weight_from_engine(make(spec)).requires_grad_()


def output_shape(y):
    """Shape of PyTorch's result in the engine's layout."""
    return to_engine(y).shape


def backward(inputs, y, seed=9):
    """Describes `dy` in `inputs` and runs the backward pass with it."""
    inputs['dy'] = uniform(output_shape(y), seed)
    y.backward(from_engine(make(inputs['dy'])))


def conv2d_cases():
    # name: batch, height, width, in, out, kernel [height, width], attributes
    cases = {
        'one-channel-3x3': (2, 6, 5, 1, 7, (3, 3), {'padding': 1}),
        'five-to-three-1x1': (2, 5, 7, 5, 3, (1, 1), {}),
        'stride-2-1x1': (2, 7, 6, 7, 5, (1, 1), {'stride': 2}),
        'even-kernel': (1, 7, 8, 3, 41, (2, 2), {'stride': 2}),
        'even-kernel-padded': (2, 5, 6, 5, 7, (2, 2), {'padding': 1}),
        'five-no-padding': (2, 9, 8, 3, 5, (5, 5), {}),
        'stem': (2, 13, 15, 3, 7, (7, 7), {'stride': 2, 'padding': 3}),
        'padding-2-on-3x3': (1, 5, 4, 41, 3, (3, 3), {'padding': 2}),
        'stride-3': (2, 11, 10, 7, 41, (3, 3), {'stride': 3, 'padding': 1}),
        'stride-wider-than-kernel': (1, 9, 10, 5, 5, (2, 2), {'stride': 3, 'padding': 0}),
        'dilation-2': (2, 9, 8, 7, 5, (3, 3), {'dilation': 2, 'padding': 2}),
        'dilation-2-stride-2': (1, 12, 11, 3, 7, (3, 3), {'dilation': 2, 'stride': 2, 'padding': 1}),
        'rectangular': (
            2,
            8,
            9,
            5,
            3,
            (1, 5),
            {'stride': [2, 1], 'padding': [0, 1], 'dilation': [1, 2]},
        ),
        'one-pixel': (3, 1, 1, 41, 41, (3, 3), {'padding': 1}),
        'two-pixels-stride-2': (2, 2, 2, 8, 16, (3, 3), {'stride': 2, 'padding': 1}),
    }
    for name, (n, h, w, ci, co, (r, s), attributes) in cases.items():
        inputs = {'x': uniform((n, h, w, ci), 1), 'weight': uniform((r, s, ci, co), 2)}
        x, k = value(inputs['x']), weight(inputs['weight'])
        y = F.conv2d(x, k, **attributes)
        backward(inputs, y)
        results = {'y': to_engine(y), 'dx': to_engine(x.grad), 'dweight': weight_to_engine(k.grad)}
        yield name, attributes, inputs, results


def max_pool2d_cases():
    def ties(shape, levels=3, offset=-1):
        return {'shape': list(shape), 'seed': 1, 'levels': levels, 'offset': offset}

    cases = {
        'stem': (uniform((2, 8, 9, 5), 1), {'size': 3, 'stride': 2, 'padding': 1}),
        'ties': (ties((2, 8, 7, 3)), {'size': 3, 'stride': 2, 'padding': 1}),
        'ties-overlapping': (ties((1, 6, 6, 4)), {'size': 3, 'stride': 1, 'padding': 1}),
        'all-equal': (ties((1, 5, 5, 2), 1, -2), {'size': 3, 'stride': 2, 'padding': 1}),
        'all-negative': (ties((2, 5, 6, 3), 2, -3), {'size': 3, 'stride': 2, 'padding': 1}),
        'even-window': (uniform((2, 7, 6, 3), 1), {'size': 2, 'stride': 2, 'padding': 0}),
        'gaps': (uniform((1, 8, 9, 3), 1), {'size': 2, 'stride': 3, 'padding': 1}),
    }
    for name, (spec, attributes) in cases.items():
        inputs = {'x': spec}
        x = value(spec)
        y = F.max_pool2d(x, attributes['size'], attributes['stride'], attributes['padding'])
        backward(inputs, y)
        yield name, attributes, inputs, {'y': to_engine(y), 'dx': to_engine(x.grad)}


def batch_norm_cases():
    cases = {
        'train': ((4, 5, 3, 7), {}, True),
        'train-large-mean': ((4, 5, 3, 7), {'offset': 100.0}, True),
        'train-one-pixel': ((8, 1, 1, 5), {}, True),
        'train-three-values': ((3, 1, 1, 3), {}, True),
        'train-many-rows': ((4, 33, 31, 4), {}, True),
        'eval': ((4, 5, 3, 7), {}, False),
    }
    for name, (shape, extra, training) in cases.items():
        channels = shape[-1:]
        inputs = {
            'x': uniform(shape, 1, 4.0, **extra),
            'gamma': uniform(channels, 2, 1.0, 1.0),
            'beta': uniform(channels, 3, 1.0),
            'runningMean': uniform(channels, 4, 1.0),
            'runningVar': uniform(channels, 5, 1.0, 1.0),
        }
        attributes = {'training': training, 'eps': 1e-5, 'momentum': 0.1}
        x, gamma, beta = value(inputs['x']), weight(inputs['gamma']), weight(inputs['beta'])
        mean, var = (weight(inputs[n]).detach() for n in ('runningMean', 'runningVar'))
        y = F.batch_norm(x, mean, var, gamma, beta, training, 0.1, 1e-5)
        backward(inputs, y)
        results = {
            'y': to_engine(y),
            'dx': to_engine(x.grad),
            'dgamma': gamma.grad.numpy(),
            'dbeta': beta.grad.numpy(),
        }
        if training:
            results.update({'runningMean': mean.numpy(), 'runningVar': var.numpy()})
        yield name, attributes, inputs, results


def global_avg_pool_cases():
    for name, shape in {'odd': (3, 5, 3, 7), 'one-pixel': (2, 1, 1, 8)}.items():
        inputs = {'x': uniform(shape, 1)}
        x = value(inputs['x'])
        y = x.mean((2, 3))
        backward(inputs, y)
        yield name, {}, inputs, {'y': to_engine(y), 'dx': to_engine(x.grad)}


def linear_cases():
    for name, (n, i, o) in {'odd': (5, 41, 7), 'classifier': (8, 128, 10), 'one': (1, 3, 1)}.items():
        inputs = {'x': uniform((n, i), 1), 'weight': uniform((i, o), 2), 'bias': uniform((o,), 3)}
        x, k, b = value(inputs['x']), weight(inputs['weight']), weight(inputs['bias'])
        y = F.linear(x, k, b)
        backward(inputs, y)
        yield name, {}, inputs, {
            'y': to_engine(y),
            'dx': to_engine(x.grad),
            'dweight': weight_to_engine(k.grad),
            'dbias': b.grad.numpy(),
        }


def hard_labels(n, classes):
    return torch.arange(n) % classes


def soft_targets(n, classes, dtype=torch.float64):
    """0.75 on class i % K and 0.25 more on (i + 3) % K: exact in float32."""
    rows = torch.arange(n)
    t = torch.zeros(n, classes, dtype=dtype)
    t[rows, rows % classes] = 0.75
    t[rows, (rows + 3) % classes] += 0.25
    return t


def loss_cases(loss_of, defaults):
    """Mean over the batch of each loss, and dz of that mean."""
    # name: batch, classes, scale and offset of the logits, soft targets
    cases = {
        'hard': (8, 10, 8.0, 0.0, False),
        'soft': (8, 10, 8.0, 0.0, True),
        'odd-classes': (5, 7, 8.0, 0.0, False),
        'one-example': (1, 3, 8.0, 0.0, False),
        'large': (6, 10, 200.0, 0.0, False),
        'shifted': (6, 10, 8.0, 80.0, True),
    }
    for name, (n, k, scale, offset, soft) in cases.items():
        inputs = {'logits': uniform((n, k), 1, scale, offset)}
        z = value(inputs['logits'])
        loss = loss_of(z, soft_targets(n, k) if soft else hard_labels(n, k))
        loss.backward()
        attributes = {'targets': 'soft' if soft else 'hard', **defaults(k)}
        results = {'loss': loss.detach().reshape(1).numpy(), 'dlogits': to_engine(z.grad)}
        yield name, attributes, inputs, results


def softmax_cross_entropy_cases():
    return loss_cases(softmax_cross_entropy, lambda k: {})


def squared_error_cases():
    return loss_cases(squared_error, lambda k: {'kappa': 9, 'm': 60, 'scale': 10 * k / 1000})


def sgd_cases():
    """Five steps at changing rates on one decayed and one undecayed vector, Nesterov and plain."""
    rates = [0.1, 0.2, 0.15, 0.05, 0.01]
    for name, nesterov in {'nesterov': True, 'heavy-ball': False}.items():
        inputs = {'decayed': uniform((3, 41), 1), 'other': uniform((41,), 2)}
        for step in range(len(rates)):
            inputs[f'gradDecayed{step}'] = uniform((3, 41), 10 + step)
            inputs[f'gradOther{step}'] = uniform((41,), 20 + step)
        attributes = {'rates': rates, 'momentum': 0.9, 'nesterov': nesterov, 'weightDecay': 0.1}
        parameters = [torch.from_numpy(make(inputs[n])).double() for n in ('decayed', 'other')]
        groups = [
            {'params': [parameters[0]], 'weight_decay': 0.1},
            {'params': [parameters[1]], 'weight_decay': 0.0},
        ]
        optimiser = torch.optim.SGD(groups, lr=rates[0], momentum=0.9, nesterov=nesterov)
        for step, rate in enumerate(rates):
            for group, key in zip(optimiser.param_groups, ('gradDecayed', 'gradOther')):
                group['lr'] = rate
                group['params'][0].grad = torch.from_numpy(make(inputs[f'{key}{step}'])).double()
            optimiser.step()
        yield name, attributes, inputs, {'decayed': parameters[0].numpy(), 'other': parameters[1].numpy()}


OPS = {
    'conv2d': conv2d_cases,
    'maxPool2d': max_pool2d_cases,
    'batchNorm': batch_norm_cases,
    'globalAvgPool': global_avg_pool_cases,
    'linear': linear_cases,
    'softmaxCrossEntropy': softmax_cross_entropy_cases,
    'squaredError': squared_error_cases,
    'sgd': sgd_cases,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parent.parent
    parser.add_argument('--out', type=Path, default=root / 'test' / 'fixtures' / 'ops')
    a = parser.parse_args()
    torch.set_num_threads(2)
    for op, cases_of in OPS.items():
        tensors, cases = {}, []
        for name, attributes, inputs, results in cases_of():
            cases.append({'name': name, 'attributes': attributes, 'inputs': inputs})
            tensors.update({f'{name}/{key}': array for key, array in results.items()})
        path = a.out / f'{op}.safetensors'
        write_safetensors(path, tensors, {'op': op, 'cases': json.dumps(cases)})
        print(f'{path}: {path.stat().st_size} bytes, {len(cases)} cases')


if __name__ == '__main__':
    main()
