import type {
  CkaComparison,
  EpochResult,
  ObjectiveResult,
  StudyResult,
} from '../../src/study/studyResult.ts'

// Invented numbers of a plausible shape, for tests of the report only: no network was trained.

export const layerNames = [3, 4, 6, 3]
  .flatMap((blocks, stage) => Array.from({ length: blocks }, (_, i) => `layer${stage + 1}.${i}`))
  .concat('avgpool')

const features = [4096, 2048, 1024, 512, 512]

/** name, label, R² and non-zero share at the penultimate layer, top-1, final loss, key, value. */
const recipes = [
  ['softmax', 'Softmax', 0.624, 0.93, 0.884, 0.141, undefined, 0],
  ['squared-error', 'Squared error', 0.712, 0.23, 0.861, 10.62, 'kappa', 9],
  ['label-smoothing', 'Label smoothing', 0.661, 0.86, 0.887, 0.602, 'alpha', 0.1],
  ['dropout', 'Dropout', 0.642, 0.9, 0.883, 0.188, 'keep', 0.7],
  ['extra-l2', 'Extra final L2', 0.676, 0.71, 0.881, 0.245, 'lambda', 8e-4],
  ['logit-penalty', 'Logit penalty', 0.689, 0.62, 0.885, 0.31, 'beta', 6e-4],
  ['logit-norm', 'Logit norm', 0.668, 0.21, 0.879, 0.164, 'tau', 0.04],
  ['cosine-softmax', 'Cosine softmax', 0.694, 0.24, 0.882, 0.176, 'tau', 0.05],
  ['sigmoid', 'Sigmoid', 0.655, 0.81, 0.886, 0.253, undefined, 0],
] as const

function objective(index: number): ObjectiveResult {
  const [name, label, r2, nonZero, top1, finalLoss, key, value] = recipes[index]!
  const epochs = 10
  const history: EpochResult[] = Array.from({ length: epochs }, (_, i) => ({
    epoch: i + 1,
    loss: finalLoss * (1 + 5 * Math.exp(-i / 1.8)),
    top1: top1 - 0.16 * Math.exp(-i / 2) + 0.006 * Math.sin(3 * i + index),
  }))
  return {
    name,
    label,
    hyperparameters: key ? { [key]: value } : {},
    top1,
    finalLoss,
    seconds: 109 + 3 * index,
    imagesPerSecond: 734 - 20 * index,
    layers: layerNames.map((layer, i) => {
      const depth = i / (layerNames.length - 1)
      const late = 1 / (1 + Math.exp(-(depth - 0.8) * 18))
      const stage = layer === 'avgpool' ? 4 : Number(layer[5]) - 1
      return {
        name: layer,
        features: features[stage]!,
        r2: 0.12 + 0.22 * depth + (r2 - 0.345) * late + 0.01 * Math.sin(i + index),
        nonZero:
          layer === 'avgpool'
            ? nonZero
            : 0.78 - 0.4 * depth - 0.3 * (1 - nonZero) * late + 0.05 * Math.cos(2.1 * i),
      }
    }),
    history,
  }
}

function comparison(a: ObjectiveResult, b: ObjectiveResult, divergence: number): CkaComparison {
  return {
    a: a.name,
    b: b.name,
    layersA: layerNames,
    layersB: layerNames,
    matrix: layerNames.map((_, i) =>
      layerNames.map((_, j) => {
        const late = 1 / (1 + Math.exp(-(Math.max(i, j) - 13.5) * 1.1))
        const distance = Math.abs(i - j) / 16
        return 0.985 * Math.exp(-2.4 * distance ** 1.3) * (1 - divergence * late) - 0.01
      }),
    ),
    estimator: 'unbiased',
    n: 2000,
    batches: 4,
  }
}

export interface SampleOptions {
  /** How many of the paper's nine objectives, softmax and squared error first. */
  objectives?: number
  /** How many comparisons of softmax with the others. */
  comparisons?: number
}

export function sampleStudyResult(options: SampleOptions = {}): StudyResult {
  const objectives = Array.from({ length: options.objectives ?? 2 }, (_, i) => objective(i))
  const reference = objectives[0]!
  return {
    title: 'What an objective does to the features of a ResNet-50',
    command: 'npm start',
    versions: { gramgrad: '0.1.0', node: '20.20.2', webgpu: '0.6.2' },
    device: { adapter: 'llvmpipe (LLVM 19.1, 256 bits)', backend: 'vulkan', software: true },
    dataset: { name: 'fashion-mnist', train: 8000, test: 2000, classes: 10 },
    model: { arch: 'resnet50', width: 0.25, input: [32, 32, 3], parameters: 1_482_010 },
    training: {
      epochs: 10,
      batch: 64,
      steps: 1250,
      lr: 0.1,
      momentum: 0.9,
      weightDecay: 8e-5,
      schedule: 'cosine',
    },
    seed: 1,
    seconds: { setup: 3.2, train: 221, analyse: 24.6 },
    analysis: { split: 'test', examples: 2000 },
    objectives,
    cka: objectives
      .slice(1, 1 + (options.comparisons ?? 1))
      .map((other, i) => comparison(reference, other, 0.62 - 0.06 * i)),
  }
}

/** The sample with a collapsed last block: R² and CKA of `layer4.2` undefined for squared error. */
export function sampleWithUndefined(): StudyResult {
  const result = sampleStudyResult()
  const collapsed = result.objectives[1]!
  const layer = collapsed.layers.findIndex(({ name }) => name === 'layer4.2')
  collapsed.layers[layer]!.r2 = null
  collapsed.undefined = { 'layer4.2.r2': 'all activations of the layer are zero' }
  const cka = result.cka[0]!
  for (const row of cka.matrix) row[layer] = null
  cka.undefined = Object.fromEntries(
    layerNames.map((name) => [`${name}/layer4.2`, 'the features of layer4.2 are constant']),
  )
  return result
}
