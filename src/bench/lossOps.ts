import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { instantiate, type Objective } from '../losses/objective.ts'
import { objectives } from '../losses/registry.ts'
import { BenchArrays } from './arrays.ts'
import type { BenchCase, BenchGroup, BenchOp, BenchSizes } from './benchCase.ts'
import { recordLossArithmetic } from './lossArithmetic.ts'

const EXAMPLES = 256
const CLASSES = 1000
const F32 = 4
const PASS = 'forward+backward'

/** A loss of logits: reads them, writes their gradient. */
function ofLogits(gpu: Gpu, arrays: BenchArrays, objective: Objective): BenchCase {
  const logits = arrays.uniform([EXAMPLES, CLASSES])
  const labels = arrays.labels(EXAMPLES, CLASSES)
  const elements = EXAMPLES * CLASSES
  return {
    shape: `${objective.name} ${EXAMPLES}x${CLASSES}`,
    pass: PASS,
    bytes: 2 * F32 * elements,
    arithmetic: () => recordLossArithmetic(gpu, objective.name, elements),
    record: async () => {
      const { program } = await gpu.record(() => {
        const tape = new Tape(gpu)
        tape.backward(objective.loss(tape, new Tensor(logits, true), { labels }))
      })
      return [program]
    },
  }
}

/** A loss that acts on features or weights: the last layer's three products come with it. */
function ofFeatures(
  gpu: Gpu,
  arrays: BenchArrays,
  objective: Objective,
  sizes: BenchSizes,
): BenchCase {
  const features = Math.max(1, Math.round(512 * sizes.width)) * 4
  const x = arrays.uniform([EXAMPLES, features])
  const weight = arrays.uniform([features, CLASSES])
  const bias = arrays.uniform([CLASSES])
  const labels = arrays.labels(EXAMPLES, CLASSES)
  const draw = { seed: 0, draw: arrays.keep(gpu.zeros('u32', [2])) }
  return {
    shape: `${objective.name} ${EXAMPLES}x${features} -> ${CLASSES}`,
    pass: `${PASS} with the last layer`,
    flops: 3 * 2 * EXAMPLES * features * CLASSES,
    record: async () => {
      const leaf = (array: typeof x) => new Tensor(array, true)
      const { program } = await gpu.record(() => {
        const tape = new Tape(gpu)
        const layer = { weight: leaf(weight), bias: leaf(bias) }
        const input = { features: leaf(x), layer, target: { labels }, draw }
        tape.backward(objective.lossOfFeatures(tape, input))
      })
      return [program]
    },
  }
}

/** Each objective at 256 examples of 1,000 classes, with its gradient. */
export const losses: BenchOp = {
  name: 'losses',
  groups: (gpu, sizes) =>
    [...objectives.values()].map((definition) => (): BenchGroup => {
      const arrays = new BenchArrays(gpu)
      const objective = instantiate(definition, CLASSES)
      const make = objective.needsFeatures ? ofFeatures : ofLogits
      return {
        cases: [make(gpu, arrays, objective, sizes)],
        release: () => arrays.release(),
      }
    }),
}
