import { LayerStatistics } from '../analysis/layerStatistics.ts'
import { MinibatchCka } from '../analysis/minibatchCka.ts'
import { type RegisteredOp, registeredOps } from '../autograd/op.ts'
import '../autograd/ops/index.ts'
import type { Gpu } from '../gpu/gpu.ts'
import '../losses/registry.ts'
import { Sgd } from '../optim/sgd.ts'
import { AUGMENTATION_TOLERANCE, testAugmentation } from './augmentation.ts'
import { numericalDerivatives, pose, project, solve } from './gradientHarness.ts'
import { hashValues, relativeError } from './reference/compare.ts'
import { testOps } from './testOps.ts'

export interface SelfTestResult {
  /** Kernel family and pass, for instance `conv2d forward`. */
  readonly kernel: string
  readonly ok: boolean
  /** Largest relative error (norm of the difference over norm) against float64 on the host. */
  readonly maxError: number
}

/** Float32 rounding reaches 5e-6 where a gradient is a difference of larger terms. */
const TOLERANCE = 5e-5

/**
 * Runs every kernel family on this device and compares it with float64 on the host: each op forward
 * and, by central differences, backward; the optimiser; the analyses; the augmentation.
 *
 * @param onTest told of the families done so far
 */
export async function selfTest(
  gpu: Gpu,
  onTest: (done: number, total: number) => void = () => {},
): Promise<SelfTestResult[]> {
  const ops = [...registeredOps()].filter(([name]) => !testOps.has(name))
  const total = ops.length + 3
  const results: SelfTestResult[] = []
  const report = (kernel: string, error: number, tolerance = TOLERANCE) =>
    results.push({ kernel, ok: error < tolerance, maxError: error })
  for (const [i, [name, op]] of ops.entries()) {
    const { forward, backward } = await testOp(gpu, op)
    report(`${name} forward`, forward)
    report(`${name} backward`, backward)
    onTest(i + 1, total)
  }
  report('sgd', await testSgd(gpu))
  onTest(total - 2, total)
  const { cka, separation } = await testAnalyses(gpu)
  report('CKA', cka)
  report('class separation', separation)
  onTest(total - 1, total)
  for (const [family, error] of Object.entries(await testAugmentation(gpu)))
    report(`augmentation ${family}`, error, AUGMENTATION_TOLERANCE)
  onTest(total, total)
  return results
}

async function testOp(gpu: Gpu, op: RegisteredOp): Promise<{ forward: number; backward: number }> {
  let forward = 0
  let backward = 0
  for (const gradientCase of op.gradientCases) {
    const problem = await pose(gpu, op, gradientCase)
    const names = Object.keys(problem.inputs)
    const { output, gradients } = await solve(gpu, problem, names, 'leaf')
    forward = worst(forward, relativeError(output, problem.output.value))
    for (const name of names) {
      const gradient = gradients[name]
      const error = gradient
        ? relativeError(project(gradient), numericalDerivatives(problem, name))
        : Number.POSITIVE_INFINITY
      backward = worst(backward, error)
    }
  }
  return { forward, backward }
}

/** The larger error; one that is not a number counts as infinite. */
function worst(a: number, b: number): number {
  return Number.isNaN(b) ? Number.POSITIVE_INFINITY : Math.max(a, b)
}

/** Two steps with Nesterov momentum and weight decay against the same in float64. */
async function testSgd(gpu: Gpu): Promise<number> {
  const length = 103
  const [momentum, weightDecay, lr] = [0.9, 0.1, 0.05]
  const w = hashValues(length, 1)
  const g = hashValues(length, 2)
  const values = gpu.upload('f32', [length], w)
  const gradients = gpu.upload('f32', [length], g)
  const rate = gpu.upload('f32', [1], Float32Array.of(lr))
  const sgd = new Sgd(gpu, [{ decay: true, values, gradients }], {
    momentum,
    nesterov: true,
    weightDecay,
  })
  const expected = Float64Array.from(w)
  const velocity = new Float64Array(length)
  for (let step = 0; step < 2; step++) {
    sgd.step(rate)
    for (let i = 0; i < length; i++) {
      const gradient = g[i]! + weightDecay * expected[i]!
      velocity[i] = momentum * velocity[i]! + gradient
      expected[i]! -= lr * (gradient + momentum * velocity[i]!)
    }
  }
  const actual = await gpu.read(values)
  for (const array of [values, gradients, rate]) array.release()
  sgd.release()
  return relativeError(actual, expected)
}

/** CKA of features with themselves, which is 1, and R² against its definition over all pairs. */
async function testAnalyses(gpu: Gpu): Promise<{ cka: number; separation: number }> {
  const [n, p, classes] = [24, 37, 3]
  const host = hashValues(n * p, 5).map((v, i) => v + (Math.floor(i / p) % classes) * 0.2)
  const labels = Uint32Array.from({ length: n }, (_, i) => i % classes)
  const x = gpu.upload('f32', [n, p], host)
  const y = gpu.upload('u32', [n], labels)
  const cka = new MinibatchCka(gpu, ['x'], ['x'])
  cka.add([x], [x])
  const { matrix } = await cka.result()
  const statistics = new LayerStatistics(gpu, [{ layer: 'x', features: p }], classes)
  statistics.add([x], y)
  const [statistic] = await statistics.result()
  for (const held of [cka, statistics, x, y]) held.release()
  const expected = pairwiseSeparation(host, labels, n, p)
  return {
    cka: Math.abs((matrix[0]![0] ?? Number.POSITIVE_INFINITY) - 1),
    separation: Math.abs((statistic!.r2 ?? Number.POSITIVE_INFINITY) - expected),
  }
}

/** Eq. 11 as it stands, for classes of one size: a double sum of cosine distances. */
function pairwiseSeparation(x: Float32Array, labels: Uint32Array, n: number, p: number): number {
  const dot = (i: number, j: number) => {
    let sum = 0
    for (let k = 0; k < p; k++) sum += x[i * p + k]! * x[j * p + k]!
    return sum
  }
  let within = 0
  let all = 0
  let pairs = 0
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const distance = 1 - dot(i, j) / Math.sqrt(dot(i, i) * dot(j, j))
      all += distance / (n * n)
      if (labels[i] !== labels[j]) continue
      within += distance
      pairs++
    }
  return 1 - within / pairs / all
}
