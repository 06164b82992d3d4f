import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { add } from '../../src/autograd/ops/add.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { instantiate, type Objective } from '../../src/losses/objective.ts'
import { objectiveNamed, objectives } from '../../src/losses/registry.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { scale, weightedSum } from '../../src/selfTest/testOps.ts'
import { type HostInputs, objectiveReference, type ReferenceCase } from './objectiveReference.ts'
import { drawLabels, mixed, oneHot } from './rows.ts'

// Float32 rounding, which 1 / tau = 25 multiplies, against float64; the differences add 1e-8. Measured
// on a software driver: at most 4e-7.
const TOLERANCE = 1e-5
const STEP = 1e-6
/** total = COEFFICIENT loss + <q, input>, each input being FACTOR times its leaf. */
const COEFFICIENT = 1.75
const FACTOR = 0.5
const SEED = 9
const DRAW = [4, 3] as const
const SHAPES = { hard: [17, 9, 7], soft: [19, 11, 5] } as const

const combined = ['dropout', 'logit-penalty', 'logit-norm', 'cosine-softmax'].flatMap((term) =>
  ['softmax', 'label-smoothing', 'sigmoid', 'cosine-softmax']
    .filter((loss) => loss !== term)
    .map((loss) => `${term}+${loss}`),
)

/** What the reference takes besides the inputs. */
function caseOf(objective: Objective, kind: keyof typeof SHAPES): ReferenceCase {
  const shape = SHAPES[kind]
  const [n, m, k] = shape
  const keep = objective.hyperparameters.keep ?? 1
  const stream = new RandomStream(SEED, streams.dropout, DRAW[0])
  const threshold = Math.round(keep * 2 ** 24) / 2 ** 24
  return {
    shape,
    targets: Float64Array.from(kind === 'soft' ? mixed(n, k) : oneHot(drawLabels(n, k), k)),
    mask: Float64Array.from({ length: n * m }, (_, i) =>
      stream.uniform(DRAW[1] * m + i) < threshold ? 1 / keep : 0,
    ),
  }
}

/** The derivatives of the total by every element of every leaf, by central differences. */
function differences(
  objective: Objective,
  inputs: HostInputs,
  q: Readonly<Record<string, Float32Array>>,
  reference: ReferenceCase,
): Record<string, Float64Array> {
  const of = (name: string, i: number, step: number) => {
    const moved = inputs[name]!.slice()
    moved[i]! += step
    return objectiveReference(objective, { ...inputs, [name]: moved }, reference)
  }
  return Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      values.map((_, i) => {
        const slope = (of(name, i, STEP) - of(name, i, -STEP)) / (2 * STEP)
        return FACTOR * (COEFFICIENT * slope + q[name]![i]!)
      }),
    ]),
  )
}

async function check(
  gpu: Gpu,
  objective: Objective,
  kind: keyof typeof SHAPES,
  names: readonly string[],
): Promise<void> {
  const reference = caseOf(objective, kind)
  const [n, m, k] = reference.shape
  const shapes: Record<string, readonly number[]> = {
    logits: [n, k],
    features: [n, m],
    weight: [m, k],
    bias: [k],
  }
  const upload = (values: Float32Array, shape: readonly number[]) =>
    gpu.upload('f32', shape, values)
  const values = names.map((name, i) =>
    hashValues(
      shapes[name]!.reduce((a, b) => a * b),
      40 + i,
    ).map((v) => v * FACTOR),
  )
  const q = Object.fromEntries(
    names.map((name, i) => [name, hashValues(values[i]!.length, 60 + i)]),
  )
  const factor = upload(Float32Array.of(FACTOR), [1])
  const tape = new Tape(gpu)
  const leaves = names.map((name, i) => new Tensor(upload(values[i]!, shapes[name]!), true))
  const passed = Object.fromEntries(
    names.map((name, i) => [name, scale(tape, { x: leaves[i]! }, { factor })]),
  )
  const target =
    kind === 'soft'
      ? { targets: upload(Float32Array.from(reference.targets), [n, k]) }
      : { labels: gpu.upload('u32', [n], drawLabels(n, k)) }
  const loss = passed.logits
    ? objective.loss(tape, passed.logits, target)
    : objective.lossOfFeatures(tape, {
        features: passed.features!,
        layer: { weight: passed.weight!, bias: passed.bias! },
        target,
        draw: { seed: SEED, draw: gpu.upload('u32', [2], Uint32Array.from(DRAW)) },
      })
  let total = scale(tape, { x: loss }, { factor: upload(Float32Array.of(COEFFICIENT), [1]) })
  for (const name of names) {
    const r = upload(q[name]!, [q[name]!.length])
    total = add(tape, { a: total, b: weightedSum(tape, { x: passed[name]! }, { r }) }, {})
  }
  tape.keep(loss)
  tape.backward(total)
  const inputs = Object.fromEntries(
    names.map((name, i) => [name, Float64Array.from(values[i]!, (v) => v * FACTOR)]),
  )
  const what = `${objective.name}, ${kind}`
  const expected = objectiveReference(objective, inputs, reference)
  const [found] = await gpu.read(loss.value)
  assert.ok(Math.abs(found! / expected - 1) < 1e-6, `${what}: loss ${found}, expected ${expected}`)
  const slopes = differences(objective, inputs, q, reference)
  for (const [i, name] of names.entries()) {
    const error = relativeError(await gpu.read(leaves[i]!.gradient!), slopes[name]!)
    assert.ok(error < TOLERANCE, `${what}: relative error of d_${name} is ${error}`)
  }
}

for (const name of [...objectives.keys(), ...combined])
  test(`${name} in the middle of a graph has the derivatives of central differences`, async () => {
    const gpu = await openGpu()
    for (const kind of ['hard', 'soft'] as const) {
      const objective = instantiate(objectiveNamed(name), SHAPES[kind][2])
      await check(gpu, objective, kind, ['features', 'weight', 'bias'])
      if (!objective.needsFeatures) await check(gpu, objective, kind, ['logits'])
    }
    gpu.close()
  })

test.run()
