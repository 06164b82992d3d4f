"""Writes test/fixtures/transfer: linear probes and nearest neighbours by scikit-learn.

For each set of features: `<name>.safetensors` (train and test features and labels, the rows held out
for validation) and `<name>.json` with scikit-learn's answers in float64:

    linear    at each of 45 lambdas the minimum of sum(CE) + lambda/2 |W|^2, found by Newton's method
              from the solution of LogisticRegression (C = 1/lambda, L-BFGS, tol 1e-8), which may stop
              early; the accuracy on the held-out rows; the lambda chosen by it; of the refit on all
              training rows the objective and the test predictions. Under `scikit_learn` objectives,
              accuracies and lambda of LogisticRegression itself
    knn       for each metric the leave-one-out accuracy of each k and the test predictions at the
              best k. Which of equally near neighbours scikit-learn takes depends on its heap; here
              its distances are put in order, equal ones by index. `tied` counts, for each k, rows
              where that is a choice, and for all others KNeighborsClassifier must predict the same

    python3 reference/makeTransferFixtures.py      # Debian 12: python3-sklearn 1.2.1; 4 minutes
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from safetensorsFile import write_safetensors

OUT = Path(__file__).resolve().parent.parent / 'test' / 'fixtures' / 'transfer'
LAMBDAS = np.logspace(-6, 5, 45)
MOST_NEIGHBOURS = 30


def split(features, labels, n, rng):
    order = rng.permutation(len(labels))
    x, y = features.astype(np.float32)[order], labels[order].astype(np.int32)
    validation = np.sort(rng.permutation(n)[: n // 4]).astype(np.int32)
    return {
        'train_features': x[:n],
        'train_labels': y[:n],
        'test_features': x[n:],
        'test_labels': y[n:],
        'validation': validation,
    }


def digits():
    """8 x 8 handwritten digits as they are, 0..16: real data, some pixels constant."""
    data = load_digits()
    return split(data.data[:750], data.target[:750], 500, np.random.default_rng(1))


def rectified(n=240, p=170, classes=5):
    """Rectified features, more of them than examples, with one class rarer than the others."""
    rng = np.random.default_rng(2)
    labels = rng.choice(classes, size=n, p=[0.04] + [0.24] * 4)
    centres = 0.7 * rng.standard_normal((classes, 24))
    hidden = centres[labels] + 1.1 * rng.standard_normal((n, 24))
    features = np.maximum(0, hidden @ rng.standard_normal((24, p)) + rng.standard_normal(p))
    return split(features, labels, 160, rng)


def ill_conditioned(n=600, p=24, classes=4):
    """Deviations from 1e3 to 1e-3 along random axes, on a mean of 1e3; classes overlap."""
    rng = np.random.default_rng(3)
    labels = rng.integers(classes, size=n)
    hidden = rng.standard_normal((classes, p))[labels] * 0.4 + rng.standard_normal((n, p))
    axes, _ = np.linalg.qr(rng.standard_normal((p, p)))
    features = hidden * np.logspace(3, -3, p) @ axes + 1e3 * rng.standard_normal(p)
    return split(features, labels, 400, rng)


def duplicated():
    """Small integers, so that many distances tie, with every row there two or three times."""
    rng = np.random.default_rng(4)
    labels = rng.integers(4, size=90)
    features = rng.integers(0, 4, size=(90, 12)) + (labels[:, None] + 2 * np.arange(12)) % 4
    again = rng.integers(90, size=160)
    mixed = np.where(rng.random(160) < 0.2, rng.integers(4, size=160), labels[again])
    return split(
        np.concatenate([features, features[again]]), np.concatenate([labels, mixed]), 180, rng
    )


def objective(w, x, y, lam, classes):
    """Value and gradient at [p + 1, classes], in float64."""
    w = w.reshape(x.shape[1] + 1, classes)
    z = x @ w[:-1] + w[-1]
    lse = logsumexp(z, axis=1)
    d = np.exp(z - lse[:, None])
    d[np.arange(len(y)), y] -= 1
    value = np.sum(lse - z[np.arange(len(y)), y]) + lam / 2 * np.sum(w[:-1] ** 2)
    return value, np.vstack([x.T @ d + lam * w[:-1], d.sum(0)])


def minimise(w, x, y, lam, classes):
    """The objective's minimum, by damped Newton steps from w."""
    xe = np.hstack([x, np.ones((len(x), 1))])
    size = xe.shape[1]
    ridge = np.full((classes, size), lam)
    ridge[:, -1] = 0
    value, gradient = objective(w, x, y, lam, classes)
    for _ in range(200):
        z = xe @ w
        p = np.exp(z - logsumexp(z, axis=1)[:, None])
        hessian = np.zeros((classes, size, classes, size))
        for a in range(classes):
            for b in range(a + 1):
                product = (xe * (p[:, a] * ((a == b) - p[:, b]))[:, None]).T @ xe
                hessian[a, :, b, :] = hessian[b, :, a, :] = product
        hessian = hessian.reshape(classes * size, classes * size)
        diagonal = hessian.diagonal() + ridge.ravel()
        # Biases are determined up to a constant: a touch of damping.
        hessian[np.diag_indices_from(hessian)] = diagonal * (1 + 1e-12)
        factor = 1 / np.sqrt(diagonal + 1e-300)
        scaled = hessian * factor[:, None] * factor[None, :]
        step = factor * np.linalg.solve(scaled, factor * gradient.T.ravel())
        step = step.reshape(classes, size).T
        decrement, length = np.sum(gradient * step), 1.0
        while True:
            trial = objective(w - length * step, x, y, lam, classes)
            if trial[0] <= value - 1e-4 * length * decrement or length < 1e-6:
                break
            length /= 2
        if length < 1e-6 or decrement < 1e-11 * value:
            break
        w, (value, gradient) = w - length * step, trial
    return w, value


def fit(x, y, lam, start=None):
    """scikit-learn's solution, and the minimum that Newton's method finds from there."""
    model = LogisticRegression(
        C=1 / lam, solver='lbfgs', tol=1e-8, max_iter=5000, multi_class='multinomial',
        warm_start=True,
    )
    if start is not None:
        model.coef_, model.intercept_ = start[:-1].T.copy(), start[-1].copy()
        model.classes_ = np.unique(y)
    model.fit(x, y)
    classes = len(model.classes_)
    w = np.vstack([model.coef_.T, model.intercept_])
    value = objective(w, x, y, lam, classes)[0]
    w, minimum = minimise(w, x, y, lam, classes)
    return value, minimum, model, w


def linear(data):
    x, y = data['train_features'].astype(np.float64), data['train_labels']
    held = np.zeros(len(y), bool)
    held[data['validation']] = True
    objectives, minima, accuracies, theirs, start = [], [], [], [], None
    for lam in LAMBDAS[::-1]:
        value, minimum, model, start = fit(x[~held], y[~held], lam, start)
        objectives.append(value)
        minima.append(minimum)
        theirs.append(model.score(x[held], y[held]))
        accuracies.append(float(np.mean(classify(start, x[held]) == y[held])))
    gaps = np.array(objectives) / np.array(minima) - 1
    print('  scikit-learn above the minimum by', gaps.min(), 'to', gaps.max(), flush=True)
    # Of equal accuracies the strongest regularisation.
    chosen = LAMBDAS[::-1][int(np.argmax(accuracies))]
    _, minimum, _, w = fit(x, y, chosen)
    return {
        'lambdas': LAMBDAS.tolist(),
        'minima': minima[::-1],
        'accuracies': accuracies[::-1],
        'lambda': float(chosen),
        'objective': minimum,
        'predictions': classify(w, data['test_features'].astype(np.float64)).tolist(),
        'scikit_learn': {
            'objectives': objectives[::-1],
            'accuracies': theirs[::-1],
            'lambda': float(LAMBDAS[::-1][int(np.argmax(theirs))]),
        },
    }


def classify(w, x):
    return (x @ w[:-1] + w[-1]).argmax(1)


def ordered(model, x):
    """All neighbours of rows, nearest first, equal ones by index; distances to 12 digits."""
    distances, indices = model.kneighbors(x, n_neighbors=model.n_samples_fit_ - (x is None))
    distances = np.round(distances, 12)
    order = np.lexsort((indices, distances), axis=1)
    take = lambda array: np.take_along_axis(array, order, axis=1)
    return take(distances), take(indices)


def predict(distances, indices, y, k):
    """Predictions, and the rows whose k-th and next neighbours are equally near."""
    votes = np.stack([np.bincount(y[row], minlength=y.max() + 1) for row in indices[:, :k]])
    tied = distances[:, k - 1] == distances[:, k] if k < distances.shape[1] else np.zeros(len(votes), bool)
    return votes.argmax(1), tied


def neighbours(data, metric):
    x, y = data['train_features'].astype(np.float64), data['train_labels']
    tx = data['test_features'].astype(np.float64)
    most = min(MOST_NEIGHBOURS, len(y) - 1)
    model = KNeighborsClassifier(metric=metric, algorithm='brute').fit(x, y)
    # X=None: neighbours of the training rows, each itself left out by index.
    near = ordered(model, None)
    accuracies, ties = [], []
    for k in range(1, most + 1):
        predictions, tied = predict(*near, y, k)
        rows = model.kneighbors(None, n_neighbors=k, return_distance=False)
        votes = np.stack([np.bincount(y[row], minlength=y.max() + 1) for row in rows])
        assert np.array_equal(votes.argmax(1)[~tied], predictions[~tied])
        accuracies.append(float(np.mean(predictions == y)))
        ties.append(int(tied.sum()))
    k = int(np.argmax(accuracies)) + 1
    predictions, tied = predict(*ordered(model, tx), y, k)
    direct = KNeighborsClassifier(n_neighbors=k, metric=metric, algorithm='brute').fit(x, y)
    assert np.array_equal(direct.predict(tx)[~tied], predictions[~tied])
    print('  knn', metric, 'k', k, 'rows tied at k', ties[k - 1], 'and of test', tied.sum(), flush=True)
    return {'k': k, 'leave_one_out': accuracies, 'tied': ties, 'predictions': predictions.tolist()}


def main():
    warnings.filterwarnings('ignore')
    OUT.mkdir(parents=True, exist_ok=True)
    for name, make, kinds in [
        ('digits', digits, 'linear knn'),
        ('rectified', rectified, 'linear knn'),
        ('illConditioned', ill_conditioned, 'linear knn'),
        ('duplicated', duplicated, 'knn'),
    ]:
        data = make()
        write_safetensors(OUT / f'{name}.safetensors', data)
        singular = np.linalg.svd(data['train_features'].astype(np.float64), compute_uv=False)
        print(name, data['train_features'].shape, 'condition', singular[0] / singular[-1], flush=True)
        answers = {}
        if 'linear' in kinds:
            answers['linear'] = linear(data)
        answers['knn'] = {metric: neighbours(data, metric) for metric in ('euclidean', 'cosine')}
        (OUT / f'{name}.json').write_text(json.dumps(answers) + '\n')


if __name__ == '__main__':
    main()
