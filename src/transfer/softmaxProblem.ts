import { add } from '../autograd/ops/add.ts'
import { linear } from '../autograd/ops/linear.ts'
import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import { softmaxCrossEntropy } from '../losses/softmax.ts'
import { addCombination } from './combination.ts'
import type { RotatedFeatures } from './rotation.ts'

/** Rows of one product: float32 sums over them stay short, sums over pieces are in float64. */
const ROWS_TOGETHER = 4096

/** Some rows, with what is computed of them. */
interface Piece {
  readonly rows: number
  /** [rows, width], on the host and on the device. */
  readonly hostZ: Float32Array
  readonly z: GpuArray<'f32'>
  readonly hostLabels: Uint32Array
  readonly labels: GpuArray<'u32'>
  readonly losses: GpuArray<'f32'>
  /** [rows, classes]: logits at the base point, less that of the label. */
  readonly base: GpuArray<'f32'>
}

interface Results {
  readonly logits: readonly GpuArray<'f32'>[]
  readonly gradients: readonly GpuArray<'f32'>[]
}

/**
 * The softmax cross-entropy of a linear classifier, summed over examples,
 *
 *   sum over n of  logsumexp(z_n U) - (z_n U)[label_n]
 *
 * with its gradient, by the engine's matrix product and loss kernels. The features are uploaded once
 * and stay on the device; parameters go there, losses and gradients come back with each evaluation.
 *
 * The device computes logits as their values at a base point, less that of the row's label, plus
 * z (U - base). `rebase` computes the former in float64 on the host: near the base point logits that
 * matter, those close to the label's, then have float32's precision relative to their differences and
 * not to their size, which is large where regularisation is weak or features are ill-conditioned.
 */
export class SoftmaxProblem {
  private constructor(
    private readonly gpu: Gpu,
    readonly n: number,
    readonly classes: number,
    /** Rows of the parameters that matter: the rest meet columns of zeros. */
    private readonly used: number,
    private readonly parameters: GpuArray<'f32'>,
    private readonly basePoint: Float64Array,
    private readonly pieces: readonly Piece[],
    private readonly program: Program,
    private readonly results: Results,
  ) {}

  /**
   * @param rows which rows of the features, in order
   * @param labels of all rows of the features, each below `classes`
   * @param used columns of the features before the padding
   */
  static async make(
    gpu: Gpu,
    { values, width }: RotatedFeatures,
    used: number,
    rows: Uint32Array,
    labels: Uint32Array,
    classes: number,
  ): Promise<SoftmaxProblem> {
    const floats = gpu.largestBinding / 4
    const together = Math.min(ROWS_TOGETHER, Math.floor(floats / Math.max(width, classes)))
    const parameters = gpu.zeros('f32', [width, classes], 'classifier')
    const pieces: Piece[] = []
    for (let first = 0; first < rows.length; first += together) {
      const some = rows.subarray(first, first + together)
      const z = new Float32Array(some.length * width)
      for (const [i, row] of some.entries())
        z.set(values.subarray(row * width, (row + 1) * width), i * width)
      const hostLabels = Uint32Array.from(some, (row) => labels[row]!)
      pieces.push({
        rows: some.length,
        hostZ: z,
        z: gpu.upload('f32', [some.length, width], z, 'features'),
        hostLabels,
        labels: gpu.upload('u32', [some.length], hostLabels, 'labels'),
        losses: gpu.empty('f32', [some.length], 'losses'),
        base: gpu.zeros('f32', [some.length, classes], 'base logits'),
      })
    }
    const { program, result } = await gpu.record(() => {
      const found = pieces.map((piece) => differentiate(gpu, piece, parameters))
      return {
        logits: found.map(({ logits }) => logits),
        gradients: found.map(({ gradient }) => gradient),
      }
    })
    const n = rows.length
    const base = new Float64Array(used * classes)
    return new SoftmaxProblem(gpu, n, classes, used, parameters, base, pieces, program, result)
  }

  /** Makes parameters [used, classes] the base point, near which evaluations are most precise. */
  rebase(x: Float64Array): void {
    const { classes, used } = this
    this.basePoint.set(x)
    const logits = new Float64Array(classes)
    for (const { rows, hostZ, hostLabels, base } of this.pieces) {
      const width = hostZ.length / rows
      const differences = new Float32Array(rows * classes)
      for (let i = 0; i < rows; i++) {
        const row = Float64Array.from(hostZ.subarray(i * width, i * width + used))
        logits.fill(0)
        addCombination(logits, row, x, classes)
        const ofLabel = logits[hostLabels[i]!]!
        for (let k = 0; k < classes; k++) differences[i * classes + k] = logits[k]! - ofLabel
      }
      this.gpu.write(base, differences)
    }
  }

  /**
   * The loss at parameters [used, classes], and its gradient.
   *
   * float32 products and losses, summed in float64 over rows and pieces. NaN where a logit is not
   * finite.
   */
  async evaluate(x: Float64Array): Promise<{ value: number; gradient: Float64Array }> {
    this.#run(x)
    const gradient = new Float64Array(x.length)
    let value = 0
    for (const [i, { rows, losses }] of this.pieces.entries()) {
      for (const loss of await this.gpu.read(losses)) value += loss
      const part = await this.gpu.read(this.results.gradients[i]!)
      // The loss kernel gives the gradient of the mean.
      for (let j = 0; j < gradient.length; j++) gradient[j]! += part[j]! * rows
    }
    return { value, gradient }
  }

  /** The class of the largest logit of each row; the first of equals. */
  async predict(x: Float64Array): Promise<Uint32Array> {
    this.#run(x)
    const predicted = new Uint32Array(this.n)
    let row = 0
    for (const logits of this.results.logits) {
      const values = await this.gpu.read(logits)
      for (let at = 0; at < values.length; at += this.classes)
        predicted[row++] = largest(values.subarray(at, at + this.classes))
    }
    return predicted
  }

  release(): void {
    this.program.dispose()
    this.parameters.release()
    for (const { z, labels, losses, base } of this.pieces)
      for (const array of [z, labels, losses, base]) array.release()
  }

  #run(x: Float64Array): void {
    if (x.length !== this.used * this.classes)
      throw new Error(`classifier: ${x.length} parameters, expected ${this.used * this.classes}`)
    const padded = new Float32Array(this.parameters.length)
    for (let i = 0; i < x.length; i++) padded[i] = x[i]! - this.basePoint[i]!
    this.gpu.write(this.parameters, padded)
    this.program.run()
  }
}

function differentiate(gpu: Gpu, { z, labels, losses, base }: Piece, parameters: GpuArray<'f32'>) {
  const tape = new Tape(gpu)
  const weight = new Tensor(parameters, true)
  const change = linear(tape, { x: new Tensor(z), weight }, {})
  const logits = tape.keep(add(tape, { a: change, b: new Tensor(base) }, {}))
  const loss = softmaxCrossEntropy(tape, { logits }, { labels, perExample: losses })
  tape.backward(loss)
  return { logits: logits.value, gradient: weight.gradient! }
}

/** Index of the largest value, the first of equals. */
export function largest(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}
