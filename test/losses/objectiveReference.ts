import type { Objective } from '../../src/losses/objective.ts'
import { squaredNorm } from '../../src/selfTest/reference/logitTerms.ts'
import { rowLosses } from './reference.ts'

/** Arrays in float64: features [N, M], weight [M, K], bias [K]; or logits [N, K]. */
export type HostInputs = Readonly<Record<string, Float64Array>>

export interface ReferenceCase {
  readonly shape: readonly [number, number, number]
  /** [N, K]. */
  readonly targets: Float64Array
  /** [N, M]: 1 / keep where a feature is kept, else 0. */
  readonly mask: Float64Array
}

/** A matrix's rows, each divided by its norm; |row|² at least 1e-12. */
function unitRows(x: Float64Array, length: number): Float64Array {
  const norms = Array.from({ length: x.length / length }, (_, i) =>
    Math.sqrt(Math.max(squaredNorm(x.slice(i * length, (i + 1) * length)), 1e-12)),
  )
  return x.map((v, i) => v / norms[Math.floor(i / length)]!)
}

function transpose(x: Float64Array, rows: number, columns: number): Float64Array {
  return x.map((_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!)
}

/** The mean loss of an objective of the paper's text, or of a combination, in float64. */
export function objectiveReference(
  { name, hyperparameters }: Objective,
  inputs: HostInputs,
  { shape: [n, m, k], targets, mask }: ReferenceCase,
): number {
  const parts = name.split('+')
  const has = (part: string) => parts.includes(part)
  const value = (part: string, key: string) =>
    has(part) ? (hyperparameters[`${part}.${key}`] ?? hyperparameters[key]) : undefined
  const logits = () => {
    const dropped = has('dropout') ? inputs.features!.map((v, i) => v * mask[i]!) : inputs.features!
    const cosineTau = value('cosine-softmax', 'tau')
    const x = cosineTau ? unitRows(dropped, m).map((v) => v / cosineTau) : dropped
    const columns = transpose(inputs.weight!, m, k)
    const w = cosineTau ? unitRows(columns, m) : columns
    return Float64Array.from({ length: n * k }, (_, i) => {
      const [row, column] = [Math.floor(i / k) * m, (i % k) * m]
      let sum = inputs.bias![i % k]!
      for (let j = 0; j < m; j++) sum += x[row + j]! * w[column + j]!
      return sum
    })
  }
  const z = inputs.logits ?? logits()
  const optional = {
    smoothing: value('label-smoothing', 'alpha'),
    tau: value('logit-norm', 'tau'),
    penalty: value('logit-penalty', 'beta'),
    kappa: value('squared-error', 'kappa'),
    m: value('squared-error', 'm'),
    scale: value('squared-error', 'scale'),
  }
  const parameters = Object.fromEntries(
    Object.entries(optional).filter(([, given]) => given !== undefined),
  )
  const op = has('sigmoid')
    ? 'sigmoidCrossEntropy'
    : has('squared-error')
      ? 'squaredError'
      : 'softmaxCrossEntropy'
  let loss = 0
  for (let i = 0; i < n; i++) {
    const row = (values: Float64Array) => values.slice(i * k, (i + 1) * k)
    loss += rowLosses[op]!(row(z), row(targets), parameters).loss / n
  }
  const lambda = value('extra-l2', 'lambda')
  if (lambda !== undefined) loss += lambda * squaredNorm(inputs.weight!)
  return loss * (value('cosine-softmax', 'lossScale') ?? 1)
}
