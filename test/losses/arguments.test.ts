import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { dropout } from '../../src/losses/dropout.ts'
import { instantiate, withoutBackground } from '../../src/losses/objective.ts'
import { objectiveNamed, objectives } from '../../src/losses/registry.ts'
import { sigmoidCrossEntropy } from '../../src/losses/sigmoid.ts'
import { softmaxCrossEntropy } from '../../src/losses/softmax.ts'
import { checkLabels, describeFlags } from '../../src/losses/targets.ts'

const named = (name: string, values = {}, classes = 1000) =>
  instantiate(objectiveNamed(name), classes, values)

test("defaults are the paper's tuned values", () => {
  const defaults = [...objectives].map(([name]) => [name, named(name).hyperparameters])
  assert.equal(Object.fromEntries(defaults), {
    softmax: {},
    'label-smoothing': { alpha: 0.1 },
    dropout: { keep: 0.7 },
    'extra-l2': { lambda: 8e-4 },
    'logit-penalty': { beta: 6e-4 },
    'logit-norm': { tau: 0.04 },
    'cosine-softmax': { tau: 0.05, lossScale: 1 },
    sigmoid: {},
    'squared-error': { kappa: 9, m: 60, scale: 10 },
  })
  assert.is(named('cosine-softmax', { tau: 0.02 }).hyperparameters.lossScale, 0.02)
  assert.is(named('squared-error', {}, 10).hyperparameters.scale, 0.1)
  assert.is(named('sigmoid', {}, 10).initialBias, -Math.log(10))
})

test('a hyperparameter that is unknown or out of range is refused by name', () => {
  const refused: [string, Record<string, number>, RegExp][] = [
    ['softmax', { tau: 1 }, /softmax has no hyperparameter tau, only none/],
    ['label-smoothing', { alpha: 1 }, /alpha is 1, expected a number in \[0, 1\)/],
    ['label-smoothing', { alpha: -0.1 }, /alpha is -0.1/],
    ['dropout', { keep: 0 }, /keep is 0, expected a number in \(0, 1\]/],
    ['dropout', { keep: 1.01 }, /keep is 1.01/],
    ['extra-l2', { lambda: -1 }, /lambda is -1, expected a number of at least 0/],
    ['logit-penalty', { beta: Number.NaN }, /beta is NaN, expected a finite number/],
    ['logit-norm', { tau: 0 }, /tau is 0, expected a number above 0/],
    ['cosine-softmax', { tau: -0.05 }, /tau is -0.05/],
    ['squared-error', { kappa: 0 }, /kappa is 0/],
  ]
  for (const [name, values, message] of refused) assert.throws(() => named(name, values), message)
  assert.throws(() => named('hinge'), /unknown objective hinge, expected one of softmax/)
  assert.throws(() => named('softmax', {}, 0), /classes is 0/)
})

test('combinations have both hyperparameters; those without meaning are refused', () => {
  assert.equal(named('logit-norm+sigmoid').hyperparameters, { tau: 0.04 })
  assert.equal(named('logit-norm+cosine-softmax').hyperparameters, {
    'logit-norm.tau': 0.04,
    'cosine-softmax.tau': 0.05,
    lossScale: 1,
  })
  assert.is(named('dropout+sigmoid', {}, 10).initialBias, -Math.log(10))
  const refused: [string, RegExp][] = [
    ['cosine-softmax+cosine-softmax', /does not combine with itself/],
    ['logit-norm+squared-error', /squared error draws logits to fixed values/],
    ['sigmoid+softmax', /sigmoid is a loss; the first/],
    ['dropout+logit-norm', /logit-norm is softmax with a term; the second/],
    ['extra-l2+sigmoid', /not among the combinations of Table C.4/],
    ['dropout+logit-norm+sigmoid', /combines 3 objectives, expected two/],
  ]
  for (const [name, message] of refused) assert.throws(() => named(name), message)
})

test('shapes that do not fit are refused before anything is dispatched', async () => {
  const gpu = await openGpu()
  const z = new Tensor(gpu.zeros('f32', [2, 3]))
  const labels = gpu.zeros('u32', [2])
  const tape = new Tape(gpu)
  await gpu.flush()
  const { pipelines } = gpu.memory()
  const refused: [() => unknown, RegExp][] = [
    [
      () => named('softmax', {}, 4).loss(tape, z, { labels }),
      /logits are \[2,3\], expected \[N, 4\]/,
    ],
    [
      () => softmaxCrossEntropy(tape, { logits: z }, { labels: gpu.empty('u32', [3]) }),
      /labels are \[3\], expected \[2\]/,
    ],
    [
      () => sigmoidCrossEntropy(tape, { logits: z }, { targets: gpu.empty('f32', [2, 4]) }),
      /targets are \[2,4\], expected \[2,3\]/,
    ],
    [
      () => softmaxCrossEntropy(tape, { logits: z }, { labels, tau: 0 }),
      /softmaxCrossEntropy: tau is 0/,
    ],
    [
      () => softmaxCrossEntropy(tape, { logits: z }, { labels, smoothing: 1 }),
      /smoothing is 1, expected a number in \[0, 1\)/,
    ],
    [
      () => dropout(tape, { x: z }, { keep: 0, seed: 1, draw: gpu.empty('u32', [2]) }),
      /keep is 0, expected a number in \(0, 1\]/,
    ],
    ...(['dropout', 'extra-l2', 'cosine-softmax'] as const).map((name): [() => unknown, RegExp] => [
      () => named(name, {}, 3).loss(tape, z, { labels }),
      /instead of the logits|not the logits/,
    ]),
  ]
  for (const [call, message] of refused) assert.throws(call, message)
  await gpu.flush()
  assert.is(gpu.memory().pipelines, pipelines, 'nothing was dispatched')
  assert.throws(
    () => checkLabels('softmax', [0, 3], 3),
    /label 1 is 3, expected an integer from 0 to 2/,
  )
  assert.throws(() => checkLabels('softmax', [-1], 3), /label 0 is -1/)
  gpu.close()
})

test('every objective refuses targets and classes that do not fit before anything is dispatched', async () => {
  const gpu = await openGpu()
  const labels = gpu.zeros('u32', [2])
  const features = new Tensor(gpu.zeros('f32', [2, 4]))
  const layer = (classes: number) => ({
    weight: new Tensor(gpu.zeros('f32', [4, classes])),
    bias: new Tensor(gpu.zeros('f32', [classes])),
  })
  const three = { features, layer: layer(3), target: { labels } }
  const five = { features, layer: layer(5), target: { labels } }
  const longer = { ...three, target: { labels: gpu.zeros('u32', [3]) } }
  const wider = { ...three, target: { targets: gpu.zeros('f32', [2, 5]) } }
  for (const name of objectives.keys()) {
    const objective = named(name, {}, 3)
    const refused = [
      [five, /logits are \[2,5\], expected \[N, 3\]/],
      [longer, /labels are \[3\], expected \[2\]/],
      [wider, /targets are \[2,5\], expected \[2,3\]/],
    ] as const
    for (const [input, message] of refused)
      assert.throws(() => objective.lossOfFeatures(new Tape(gpu), input), message)
  }
  gpu.close()
})

test('a background class (D8) has its part in the loss and none in evaluation', async () => {
  const logits = [9, 1, 2, 3, -5, 0.5, 0.25, -1]
  for (const name of ['softmax', 'sigmoid', 'logit-norm']) {
    const all = instantiate(objectiveNamed(name), 4)
    const four = all.logProbabilities(logits)!.map(Math.exp)
    const withBackground = instantiate(objectiveNamed(name), 4, {}, { background: true })
    const three = withBackground.logProbabilities(logits)!.map(Math.exp)
    assert.is(three.length, 6)
    for (const n of [0, 1]) {
      const rest = four.slice(4 * n + 1, 4 * n + 4).reduce((a, b) => a + b)
      for (const k of [0, 1, 2])
        assert.ok(
          Math.abs(three[3 * n + k]! - four[4 * n + k + 1]! / rest) < 1e-12,
          `${name}: p of class ${k + 1}`,
        )
    }
    const gpu = await openGpu()
    const value = async (objective: typeof all) => {
      const z = new Tensor(gpu.upload('f32', [2, 4], Float32Array.from(logits)))
      const target = { labels: gpu.upload('u32', [2], Uint32Array.of(1, 3)) }
      return (await gpu.read(objective.loss(new Tape(gpu, false), z, target).value))[0]
    }
    assert.is(await value(withBackground), await value(all))
    gpu.close()
  }
  assert.equal([...withoutBackground(Float32Array.of(1, 2, 3, 4, 5, 6), 3)], [2, 3, 5, 6])
  assert.throws(
    () => instantiate(objectiveNamed('softmax'), 1, {}, { background: true }),
    /classes is 1, expected at least 2/,
  )
})

test('a loss or a squared norm beyond float32 raises a flag; a norm leaves no gradient', async () => {
  const gpu = await openGpu()
  for (const [name, value, flags] of [
    ['logit-penalty', 1e25, 4],
    ['squared-error', 1e25, 4],
    ['logit-penalty+sigmoid', 1e25, 4],
    ['softmax', 3e38, 4],
    ['sigmoid', 3e38, 4],
    ['logit-norm', 1e25, 8],
    ['logit-norm+sigmoid', 1e25, 8],
    ['logit-norm', 1e18, 0],
    ['logit-norm+sigmoid', 1e18, 0],
    ['softmax', 1e38, 0],
  ] as const) {
    // Opposite signs, so that differences overflow too.
    const logits = Float32Array.from({ length: 10 }, (_, i) => (i % 4) / 2)
    logits.set([value, -value, value, -value], 5)
    const z = new Tensor(gpu.upload('f32', [2, 5], logits), true)
    const labels = gpu.upload('u32', [2], Uint32Array.of(0, 1))
    const status = gpu.zeros('u32', [1])
    const perExample = gpu.empty('f32', [2])
    const tape = new Tape(gpu)
    const loss = named(name, {}, 5).loss(tape, z, { labels }, { status, perExample })
    tape.keep(loss)
    tape.backward(loss)
    const what = `${name}, ${value}`
    assert.is((await gpu.read(status))[0], flags, what)
    const losses = await gpu.read(perExample)
    assert.equal([...losses].map(Number.isFinite), [true, flags === 0], what)
    const gradient = await gpu.read(z.gradient!)
    assert.ok(gradient.subarray(0, 5).every(Number.isFinite), `${what}: the other row's gradient`)
    if (flags === 8)
      assert.ok(
        gradient.subarray(5).every((g) => g === 0),
        `${what}: gradient`,
      )
  }
  assert.is(describeFlags(4), 'a loss is beyond float32')
  assert.is(describeFlags(8), 'the squared norm of the logits is beyond float32')
  gpu.close()
})

test('cosine softmax: features or weights whose squared norm is beyond float32 raise a flag', async () => {
  const gpu = await openGpu()
  for (const [ofFeatures, ofWeight, flags] of [
    [1e25, 1, 1],
    [1, 1e25, 1],
    [1e18, 1e18, 0],
  ] as const) {
    const filled = (shape: readonly [number, number], value: number) =>
      new Tensor(gpu.upload('f32', shape, new Float32Array(shape[0] * shape[1]).fill(value)))
    const status = gpu.zeros('u32', [1])
    named('cosine-softmax', {}, 3).lossOfFeatures(new Tape(gpu, false), {
      features: filled([2, 4], ofFeatures),
      layer: { weight: filled([4, 3], ofWeight), bias: new Tensor(gpu.zeros('f32', [3])) },
      target: { labels: gpu.zeros('u32', [2]) },
      outputs: { status },
    })
    assert.is((await gpu.read(status))[0], flags, `${ofFeatures}, ${ofWeight}`)
  }
  gpu.close()
})

/** Examples, classes, and where in the second row: one lane a row and several, a full turn and the rest. */
const PLACES = [
  [3, 5, 2],
  [40, 24, 2],
  [40, 24, 22],
] as const

test('non-finite logits and labels out of range raise a flag and leave no gradient', async () => {
  const gpu = await openGpu()
  const names = ['softmax', 'logit-norm', 'sigmoid', 'squared-error', 'logit-norm+sigmoid']
  for (const name of names)
    for (const [n, k, place] of PLACES)
      for (const [value, label, flags] of [
        [Number.NaN, 1, 1],
        [Number.POSITIVE_INFINITY, 1, 1],
        [Number.NEGATIVE_INFINITY, 1, 1],
        [0.5, k, 2],
        [0.5, 1, 0],
      ] as const) {
        const logits = Float32Array.from({ length: n * k }, (_, i) => (i % 4) / 2)
        logits[k + place] = value
        const z = new Tensor(gpu.upload('f32', [n, k], logits), true)
        const labels = gpu.upload(
          'u32',
          [n],
          Uint32Array.from({ length: n }, (_, i) => (i === 1 ? label : (4 * i) % k)),
        )
        const status = gpu.zeros('u32', [1])
        const perExample = gpu.empty('f32', [n])
        const tape = new Tape(gpu)
        const loss = named(name, {}, k).loss(tape, z, { labels }, { status, perExample })
        tape.keep(loss)
        tape.backward(loss)
        const what = `${name}, [${n}, ${k}], ${value} at ${place}, label ${label}`
        assert.is((await gpu.read(status))[0], flags, what)
        assert.is(Number.isNaN((await gpu.read(loss.value))[0]), flags !== 0, `${what}: mean`)
        const losses = await gpu.read(perExample)
        losses.forEach((one, i) => {
          assert.is(Number.isFinite(one), i !== 1 || flags === 0, `${what}: loss ${i}`)
        })
        assert.ok((await gpu.read(z.gradient!)).every(Number.isFinite), `${what}: gradient`)
      }
  assert.is(describeFlags(0), undefined)
  assert.is(describeFlags(1), 'a logit is not finite')
  gpu.close()
})

test.run()
