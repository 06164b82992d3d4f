"""Runs the twin with the main job's recipe: three seeds, the paper's nine objectives.

    python3 reference/makeTwinResults.py

Writes reference/results/twinQuickstart.json: by objective and seed, top-1 on the 2,000 held-out
images, R2 (cosine, class-balanced) and share of non-zero activations of the 17 layers; by
objective, mean and standard deviation (n - 1) of top-1 and of R2 at the penultimate layer; by seed,
and for the means, Spearman's correlation of that R2 with the paper's (Table 3).
"""

import argparse
import json
import statistics
from pathlib import Path

import torch

from objectives import OBJECTIVES
from twin import evaluate, load_data, train

SEEDS = (1, 2, 3)
RECIPE = {'width': 0.125, 'steps': 300, 'batch': 64, 'lr': 0.05, 'wd': 8e-5, 'warmup': 75}
# R2 of the penultimate layer in Table 3.
PAPER_R2 = {
    'softmax': 0.349,
    'label-smoothing': 0.420,
    'dropout': 0.461,
    'extra-l2': 0.572,
    'logit-penalty': 0.601,
    'logit-norm': 0.517,
    'cosine-softmax': 0.641,
    'sigmoid': 0.427,
    'squared-error': 0.845,
}


def summary(values):
    return {'mean': statistics.mean(values), 'sd': statistics.stdev(values)}


def spearman(r2):
    """Spearman's correlation of {objective: R2} with the paper's; no two values are equal."""
    names = list(PAPER_R2)

    def ranks(values):
        order = sorted(names, key=values.get)
        return [order.index(name) for name in names]

    pairs = zip(ranks(r2), ranks(PAPER_R2))
    n = len(names)
    return 1 - 6 * sum((a - b) ** 2 for a, b in pairs) / (n * (n * n - 1))


def rounded(x):
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return round(x, 5) if isinstance(x, float) else x


def main():
    root = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=root.parent / 'datasets' / 'fashion-mnist')
    parser.add_argument('--out', type=Path, default=root / 'results' / 'twinQuickstart.json')
    parser.add_argument('--threads', type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    data = load_data(a.data, 0, 0)
    results = {}
    for objective in OBJECTIVES:
        runs = {}
        for seed in SEEDS:
            runs[seed] = evaluate(
                train(data, objective, seed, **RECIPE), objective, *data[2:]
            )
            print(objective, seed, runs[seed]['top1'], runs[seed]['r2']['avgpool'], flush=True)
        results[objective] = {
            'top1': summary([r['top1'] for r in runs.values()]),
            'r2': summary([r['r2']['avgpool'] for r in runs.values()]),
            'seeds': rounded(runs),
        }
    recipe = {**RECIPE, 'momentum': 0.9, 'nesterov': True, 'images': len(data[1])}
    recipe['schedule'] = 'linear warm-up (first step lr/warmup), then half a cosine'
    correlations = {
        str(seed): spearman({o: r['seeds'][seed]['r2']['avgpool'] for o, r in results.items()})
        for seed in SEEDS
    }
    correlations['means'] = spearman({o: r['r2']['mean'] for o, r in results.items()})
    content = {
        'recipe': recipe,
        'torch': torch.__version__,
        'spearmanWithTable3': rounded(correlations),
        'objectives': results,
    }
    text = json.dumps(content, indent=1)
    a.out.parent.mkdir(exist_ok=True)
    a.out.write_text(text + '\n')


if __name__ == '__main__':
    main()
