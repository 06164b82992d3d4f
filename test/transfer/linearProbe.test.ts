import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/openGpu.ts'
import type { LabelledFeatures } from '../../src/transfer/labelledFeatures.ts'
import { linearProbe } from '../../src/transfer/linearProbe.ts'
import { rejection } from '../data/temporaryFolder.ts'
import { readFixture } from './fixture.ts'

const gpu = await openGpu()

/** The objective in float64 at a classifier, for the rows of a set. */
function objective(
  { features, labels, width }: LabelledFeatures,
  { weight, bias }: { weight: Float64Array; bias: Float64Array },
  lambda: number,
): number {
  const classes = bias.length
  let sum = (lambda / 2) * weight.reduce((total, w) => total + w * w, 0)
  for (const [i, label] of labels.entries()) {
    const z = bias.slice()
    for (let j = 0; j < width; j++)
      for (let k = 0; k < classes; k++) z[k]! += features[i * width + j]! * weight[j * classes + k]!
    const most = z.reduce((a, b) => Math.max(a, b))
    sum += most + Math.log(z.reduce((total, v) => total + Math.exp(v - most), 0)) - z[label]!
  }
  return sum
}

for (const name of ['digits', 'rectified', 'illConditioned'])
  test(`${name}: objectives, choice and accuracies are scikit-learn's`, async () => {
    const { train, test: held, validation, answers } = await readFixture(name)
    const { lambdas, minima, accuracies, scikit_learn: theirs, ...expected } = answers.linear!
    const found = await linearProbe(gpu, train, held, { validation, lambdas })
    assert.is(found.path.length, 45)
    for (const [i, point] of found.path.entries()) {
      const at = `lambda ${point.lambda}`
      assert.ok(point.converged, at)
      // 1e-5 is what is promised; most are below 1e-6. scikit-learn's own solver stops up to 1e-2
      // above the minimum at small lambdas, where Newton's method finds it.
      const error = Math.abs(point.objective / minima[i]! - 1)
      assert.ok(error < 1e-5, `${at}: objective off by ${error}`)
      assert.ok(point.objective < theirs.objectives[i]! * (1 + 1e-5), `${at}: above scikit-learn's`)
      // One row is what a tie between two logits may turn.
      const rows = Math.abs(point.accuracy - accuracies[i]!) * validation.length
      assert.ok(rows < 1.5, `${at}: ${rows} rows predicted otherwise`)
      // Where scikit-learn stopped early its classifier is another one.
      if (theirs.objectives[i]! / minima[i]! - 1 > 1e-4) continue
      const differing = Math.abs(point.accuracy - theirs.accuracies[i]!) * validation.length
      assert.ok(differing < 1.5, `${at}: ${differing} rows differ from scikit-learn's`)
    }
    if (name !== 'illConditioned') assert.is(theirs.lambda, expected.lambda)
    assert.is(
      found.lambda,
      lambdas.find((lambda) => lambda === expected.lambda),
    )
    // What is handed out is the solution too, in float64: the rotation is undone.
    const exact = objective(train, found, found.lambda)
    assert.ok(Math.abs(exact / expected.objective - 1) < 1e-5, `refit: ${exact}`)
    assert.ok(found.converged)
    const differing = expected.predictions.filter((p, i) => p !== found.predictions[i]).length
    assert.ok(differing <= 1, `${differing} test predictions differ`)
  })

test('the same features give the same bits', async () => {
  const { train, test: held, validation } = await readFixture('illConditioned')
  const lambdas = [1e-3, 1]
  const first = await linearProbe(gpu, train, held, { validation, lambdas })
  const second = await linearProbe(gpu, train, held, { validation, lambdas })
  assert.equal(first.weight, second.weight)
  assert.equal(first.path, second.path)
})

test('a fit that is cut short says so', async () => {
  const { train, test: held } = await readFixture('digits')
  const found = await linearProbe(gpu, train, held, { lambdas: [1e-3], maxIterations: 3 })
  assert.is(found.converged, false)
  assert.ok(found.gradientNorm > 1e-3)
  assert.not.ok(found.atEdge)
})

function set(name: string, labels: number[], width = 2): LabelledFeatures {
  const features = Float32Array.from({ length: labels.length * width }, (_, i) => Math.sin(9 * i))
  return { name, features, labels: Uint32Array.from(labels), width }
}

test('classes without training examples are never predicted, without test examples count nowhere', async () => {
  const train = set('train', [0, 0, 0, 4, 4, 4, 4])
  const found = await linearProbe(gpu, train, set('test', [0, 4, 2, 2]), { lambdas: [1] })
  assert.equal(found.classes, [0, 4])
  assert.ok(found.predictions.every((label) => label === 0 || label === 4))
  assert.is(found.perClass[1], null)
  assert.is(found.perClass[2], 0)
  assert.is(found.perClass.length, 5)
})

test('constant features: the classes alone are learnt', async () => {
  const train = { ...set('train', [0, 1, 1, 1, 0, 1]), features: new Float32Array(12).fill(3) }
  const found = await linearProbe(gpu, train, train, { lambdas: [1e-6, 1] })
  assert.equal([...found.predictions], [1, 1, 1, 1, 1, 1])
  // Minus the sum of n log of each class's share.
  const entropy = -2 * Math.log(2 / 6) - 4 * Math.log(4 / 6)
  assert.ok(Math.abs(found.objective / entropy - 1) < 1e-6)
})

test('what does not fit is refused by name', async () => {
  const good = set('good', [0, 1, 0, 1, 0, 1])
  const probe = (train: LabelledFeatures, held: LabelledFeatures, options = {}) =>
    rejection(linearProbe(gpu, train, held, { lambdas: [1], ...options }))
  assert.match(await probe(set('one', [3, 3, 3]), good), /one has examples of class 3 only/)
  assert.match(await probe(good, set('wide', [0, 1], 3)), /wide has 3 features.*expected 2/)
  assert.match(await probe(set('none', []), good), /none has no examples/)
  const broken = set('broken', [0, 1])
  broken.features[3] = Number.NaN
  assert.match(await probe(good, broken), /broken: feature 1 of example 1 is NaN/)
  assert.match(await probe({ ...good, width: 5 }, good), /12 values came for 6 labels/)
  assert.match(await probe(set('single', [0, 1]), good), /single has 2 examples.*too few/)
  assert.match(await probe(good, good, { validation: 1 }), /validation is 1/)
  assert.match(await probe(good, good, { validation: Uint32Array.of(9) }), /row 9/)
  assert.match(await probe(good, good, { lambdas: [1, -1] }), /lambdas hold -1/)
})

test.after(() => gpu.close())
test.run()
