"""Neural collapse, spectra, angular visual hardness and distances, by NumPy and SciPy in float64.

Writes test/fixtures/collapse/collapse.safetensors. A case `<name>/` holds `features` [n, P], `labels`
[n], `weights` [C, P] (what both sides read) and results from float64, all as float32:

  measures [8]           Table E.2 in its order, ddof 0;  measuresDdof1 [8] with ddof 1
  singular, singularCentred    of the features;  centroids, centroidsCentred   of the class means
  hardness [n]           angular visual hardness A(x, w_y) / sum_i A(x, w_i), A = arccos of the cosine
  withinCosine, betweenCosine  cosine distances of all pairs i < j, sorted

Cases: C < P; C > P; class means of rank 3 (exactly: pairs of examples mirrored at means that are
dyadic combinations of three vectors); classes of unlike sizes about a far mean.
"""

from pathlib import Path

import numpy as np
import scipy.linalg
from safetensorsFile import write_safetensors

OUT = Path(__file__).resolve().parent.parent / "test/fixtures/collapse/collapse.safetensors"


def frame(rows, ddof):
    norms = np.linalg.norm(rows, axis=1)
    unit = rows / norms[:, None]
    cosines = (unit @ unit.T)[~np.eye(len(rows), dtype=bool)]
    return (
        norms.std(ddof=ddof) / norms.mean(),
        cosines.std(ddof=ddof),
        np.abs(cosines + 1 / (len(rows) - 1)).mean(),
    )


def measures(x, labels, weights, ddof):
    classes = len(weights)
    means = np.stack([x[labels == k].mean(0) for k in range(classes)])
    centred = means - means.mean(0)
    deviations = x - means[labels]
    within = deviations.T @ deviations / len(x)
    between = centred.T @ centred / classes
    trace = np.trace(within @ scipy.linalg.pinv(between, rtol=1e-9)) / classes
    mu, w = frame(centred, ddof), frame(weights, ddof)
    duality = np.linalg.norm(
        weights / np.linalg.norm(weights) - centred / np.linalg.norm(centred)
    ) ** 2
    return np.array([mu[0], w[0], mu[1], w[1], mu[2], w[2], duality, trace])


def case(x, labels, weights):
    x32, w32 = x.astype(np.float32), weights.astype(np.float32)
    x, weights = x32.astype(np.float64), w32.astype(np.float64)
    means = np.stack([x[labels == k].mean(0) for k in range(len(weights))])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ (weights / np.linalg.norm(weights, axis=1, keepdims=True)).T
    angles = np.arccos(np.clip(cosines, -1, 1))
    first, second = np.triu_indices(len(x), 1)
    distances = 1 - (unit @ unit.T)[first, second]
    same = labels[first] == labels[second]
    singular = lambda a: np.linalg.svd(a, compute_uv=False)
    return {
        "features": x32,
        "labels": labels,
        "weights": w32,
        "measures": measures(x, labels, weights, 0),
        "measuresDdof1": measures(x, labels, weights, 1),
        "singular": singular(x),
        "singularCentred": singular(x - x.mean(0)),
        "centroids": singular(means),
        "centroidsCentred": singular(means - means.mean(0)),
        "hardness": angles[np.arange(len(x)), labels] / angles.sum(1),
        "withinCosine": np.sort(distances[same]),
        "betweenCosine": np.sort(distances[~same]),
    }


def main():
    rng = np.random.default_rng(43)
    normal = lambda *shape: rng.normal(size=shape)
    cases = {}

    labels = np.arange(120) % 10
    centres = normal(10, 24)
    cases["fewClasses"] = case(
        centres[labels] + 0.7 * normal(120, 24), labels, centres + 0.5 * normal(10, 24)
    )

    labels = np.arange(144) % 12
    centres = normal(12, 5)
    cases["manyClasses"] = case(
        centres[labels] + 0.5 * normal(144, 5), labels, normal(12, 5)
    )

    basis = np.round(8 * normal(3, 16)) / 8
    means = np.round(4 * normal(8, 3)) / 4 @ basis
    labels = np.repeat(np.arange(8), 8)
    mirrored = np.round(64 * normal(32, 16)) / 64
    offsets = np.stack([mirrored, -mirrored], 1).reshape(64, 16)
    cases["rankThree"] = case(means[labels] + offsets, labels, means + 0.3 * normal(8, 16))

    labels = np.concatenate([np.repeat(k, 2 + 5 * k) for k in range(6)])
    rng.shuffle(labels)
    centres = normal(6, 33)
    scale = np.geomspace(1, 0.02, 33)
    cases["uneven"] = case(
        50 + (centres[labels] + 0.3 * normal(len(labels), 33)) * scale, labels, centres
    )

    tensors = {f"{name}/{key}": value for name, c in cases.items() for key, value in c.items()}
    write_safetensors(OUT, tensors)


if __name__ == "__main__":
    main()
