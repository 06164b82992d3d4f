"""The PyTorch twin of the main job: same data, network, objectives, optimiser and schedule.

    python3 reference/twin.py --data DIR --objective softmax --seed 1 [--steps 300 --batch 64 ...]

Prints one JSON object a run: top-1 on the test split, R2 and non-zero share of the 17 layers.
Random draws (initial weights, order of images) are PyTorch's own, so a run agrees with the
engine's in distribution, not image by image.
"""

import argparse
import json
import math
import time

import torch

from analysis import class_separation, nonzero_share
from fashionMnist import balanced_subset, pixel_statistics, prepare, read_split
from objectives import OBJECTIVES
from resnet import LAYER_NAMES, ResNet50, init_torchvision, sgd


def learning_rate(step, steps, warmup, peak):
    """Rate of step 0..steps-1: linear peak/warmup .. peak, then half a cosine towards 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return 0.5 * peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def load_data(folder, train_images, test_images, subset_seed=1):
    """(train x, train y, test x, test y); draws a balanced subset where the split is larger."""
    train, test = read_split(folder, 'train'), read_split(folder, 't10k')
    if train_images and train_images < len(train[1]):
        train = balanced_subset(*train, train_images, subset_seed)
    if test_images and test_images < len(test[1]):
        test = balanced_subset(*test, test_images, subset_seed)
    mean, std = pixel_statistics(train[0])
    tensors = []
    for images, labels in (train, test):
        tensors += [prepare(images, mean, std), torch.from_numpy(labels.astype('int64'))]
    return tensors


def train(data, objective, seed, width, steps, batch, lr, wd, warmup, log=None):
    """A trained network; the last incomplete batch of an epoch is dropped."""
    x, y = data[0], data[1]
    torch.manual_seed(seed)
    classes = int(y.max()) + 1
    model = init_torchvision(ResNet50(width, classes)).to(memory_format=torch.channels_last)
    chosen = OBJECTIVES[objective]
    chosen.prepare(model.fc)
    optimiser = sgd(model, lr, weight_decay=wd)
    epoch_steps = len(y) // batch
    model.train()
    for step in range(steps):
        if step % epoch_steps == 0:
            order = torch.randperm(len(y))
        for group in optimiser.param_groups:
            group['lr'] = learning_rate(step, steps, warmup, lr)
        start = step % epoch_steps * batch
        index = order[start : start + batch]
        features = model.features(x[index].contiguous(memory_format=torch.channels_last))[-1]
        loss = chosen.training_loss(features, model.fc, y[index])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if log and (step + 1) % log == 0:
            print(f'step {step + 1}/{steps} loss {loss.item():.4f}', flush=True)
    return model


@torch.no_grad()
def evaluate(model, objective, x, y, batch=500):
    """Top-1 (share), and by layer R2 and share of non-zero activations."""
    model.eval()
    logits_of = OBJECTIVES[objective].logits
    parts, correct = [[] for _ in LAYER_NAMES], 0
    for start in range(0, len(y), batch):
        layers = model.features(x[start : start + batch].contiguous(memory_format=torch.channels_last))
        correct += int((logits_of(layers[-1], model.fc).argmax(1) == y[start : start + batch]).sum())
        for part, layer in zip(parts, layers):
            part.append(layer)
    features = [torch.cat(part) for part in parts]
    return {
        'top1': correct / len(y),
        'r2': {n: class_separation(f, y, int(y.max()) + 1) for n, f in zip(LAYER_NAMES, features)},
        'nonzero': {n: nonzero_share(f) for n, f in zip(LAYER_NAMES, features)},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', required=True, help="folder of the gzip'd IDX files")
    parser.add_argument('--objective', choices=list(OBJECTIVES), default='softmax')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--width', type=float, default=0.125)
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--lr', type=float, default=0.05)
    parser.add_argument('--wd', type=float, default=8e-5)
    parser.add_argument('--warmup', type=int, default=75, help='steps of linear warm-up')
    parser.add_argument('--train-images', type=int, default=8000)
    parser.add_argument('--test-images', type=int, default=2000)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--log', type=int, default=0, help='print the loss every LOG steps')
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    data = load_data(a.data, a.train_images, a.test_images)
    begin = time.time()
    model = train(data, a.objective, a.seed, a.width, a.steps, a.batch, a.lr, a.wd, a.warmup, log=a.log)
    seconds = round(time.time() - begin, 1)
    print(json.dumps({'run': vars(a), 'trainSeconds': seconds, **evaluate(model, a.objective, *data[2:])}))


if __name__ == '__main__':
    main()
