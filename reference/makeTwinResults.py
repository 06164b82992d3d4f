"""Runs the twin with the main job's recipe: three seeds, both objectives.

    python3 reference/makeTwinResults.py

Writes reference/results/twinQuickstart.json: by objective and seed, top-1 on the 2,000 held-out
images, R2 (cosine, class-balanced) and share of non-zero activations of the 17 layers; by
objective, mean and standard deviation (n - 1) of top-1 and of R2 at the penultimate layer.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch

from objectives import OBJECTIVES
from twin import evaluate, load_data, train

SEEDS = (1, 2, 3)
RECIPE = {'width': 0.25, 'epochs': 4, 'batch': 64, 'lr': 0.05, 'wd': 8e-5, 'warmup': 1}


def summary(values):
    return {'mean': statistics.mean(values), 'sd': statistics.stdev(values)}


def rounded(x):
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return round(x, 5) if isinstance(x, float) else x


def main():
    root = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=root.parent / 'datasets' / 'fashion-mnist')
    parser.add_argument('--out', type=Path, default=root / 'results' / 'twinQuickstart.json')
    parser.add_argument('--threads', type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    data = load_data(a.data, 0, 0)
    results = {}
    for objective in OBJECTIVES:
        runs = {}
        for seed in SEEDS:
            runs[seed] = evaluate(train(data, objective, seed, **RECIPE), *data[2:])
            print(objective, seed, runs[seed]['top1'], runs[seed]['r2']['avgpool'], flush=True)
        results[objective] = {
            'top1': summary([r['top1'] for r in runs.values()]),
            'r2': summary([r['r2']['avgpool'] for r in runs.values()]),
            'seeds': rounded(runs),
        }
    recipe = {**RECIPE, 'momentum': 0.9, 'nesterov': True, 'images': len(data[1])}
    recipe['schedule'] = 'linear warm-up over the first epoch (first step lr/125), then half a cosine'
    text = json.dumps({'recipe': recipe, 'torch': torch.__version__, 'objectives': results}, indent=1)
    a.out.parent.mkdir(exist_ok=True)
    a.out.write_text(text + '\n')


if __name__ == '__main__':
    main()
