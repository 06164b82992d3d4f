"""The PyTorch twin of a study on an installed data set: same images, recipe, objectives and seeds.

    python3 reference/twinStudy.py STUDY.toml [--data FOLDER] [--out FILE.json]

Reads what the engine reads: the study's TOML file and NAME.safetensors in $GRAMGRAD_DATA or
~/.cache/gramgrad/datasets. Writes, by objective and seed, top-1 on the test split, and R2 and share
of non-zero activations of the 17 layers on the images that the study looks at. Run again, it goes on
with what is missing in FILE.json.
"""

import argparse
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import torch

from objectives import OBJECTIVES
from safetensorsFile import read_safetensors
from twin import evaluate, train


def prepare(images, mean, std):
    """f32 [N, 3, H, W]: normalised bytes, padded to 32 rows and columns with black."""
    n, height, width, channels = images.shape
    top, left = max(0, 32 - height), max(0, 32 - width)
    pad = ((0, 0), (top // 2, top - top // 2), (left // 2, left - left // 2), (0, 0))
    x = (np.pad(images, pad).astype(np.float32) / 255 - mean) / std
    x = np.repeat(x, 3, 3) if channels == 1 else x
    return torch.from_numpy(x.astype(np.float32).transpose(0, 3, 1, 2).copy())


def load_data(file):
    """(train x, train y, test x, test y)."""
    tensors, _ = read_safetensors(file)
    pixels = tensors['train_images'].astype(np.float64) / 255
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    parts = []
    for split in ('train', 'test'):
        parts.append(prepare(tensors[f'{split}_images'], mean, std))
        parts.append(torch.from_numpy(tensors[f'{split}_labels'].astype('int64')))
    return parts


def read_study(file):
    """What decides the runs: recipe, objectives, seeds, and the images that layers are looked at on."""
    study = tomllib.loads(file.read_text())
    training, analysis = study.get('training', {}), study.get('analysis', {})
    known = {'width', 'steps', 'batch', 'lr', 'weightDecay', 'warmupSteps'}
    if set(training) - known or 'hyperparameters' in study:
        raise ValueError(f'{file}: only {", ".join(sorted(known))} of [training] are known here, no hyperparameters')
    steps = training.get('steps', 300)
    recipe = {
        'width': training.get('width', 0.125),
        'steps': steps,
        'batch': training.get('batch', 64),
        'lr': training.get('lr', 0.05),
        'wd': training.get('weightDecay', 8e-5),
        'warmup': training.get('warmupSteps', steps // 4),
    }
    objectives = study.get('objectives', 'all')
    return {
        'dataset': study['dataset'],
        'seeds': study.get('seeds', [1]),
        'objectives': list(OBJECTIVES) if objectives == 'all' else objectives,
        'recipe': recipe,
        'split': analysis.get('split', 'test'),
        'images': analysis.get('images', 2000),
    }


def rounded(x):
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return round(x, 5) if isinstance(x, float) else x


def main():
    folder = os.environ.get('GRAMGRAD_DATA') or Path.home() / '.cache/gramgrad/datasets'
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('study', type=Path)
    parser.add_argument('--data', type=Path, default=Path(folder))
    parser.add_argument('--out', type=Path)
    parser.add_argument('--threads', type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    study = read_study(a.study)
    out = a.out or Path(__file__).parent / 'results' / f'{a.study.stem}Twin.json'
    x, y, test_x, test_y = load_data(a.data / f'{study["dataset"]}.safetensors')
    images, split = study['images'], study['split']
    if images < len(y if split == 'train' else test_y):
        raise ValueError(f'{a.study}: analysis.images is {images}, expected all of the split')
    looked = (x[:images], y[:images]) if split == 'train' else (test_x[:images], test_y[:images])
    found = json.loads(out.read_text()) if out.exists() else {}
    runs = found.get('runs', {})
    for seed in study['seeds']:
        for objective in study['objectives']:
            run = f'{objective}-seed{seed}'
            if run in runs:
                continue
            model = train((x, y), objective, seed, **study['recipe'])
            on_test = evaluate(model, objective, test_x, test_y)
            layers = evaluate(model, objective, *looked)
            runs[run] = rounded({'top1': on_test['top1'], 'r2': layers['r2'], 'nonzero': layers['nonzero']})
            print(run, runs[run]['top1'], runs[run]['r2']['avgpool'], flush=True)
            content = {'recipe': study['recipe'], 'torch': torch.__version__, 'runs': runs}
            out.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    main()
