import type { MetricsLine } from './runFolder.ts'

interface MetricsLogOptions {
  /** Names the objective in the error on a loss that is not finite. */
  readonly objective: string
  readonly stepsPerEpoch: number
  /** Learning rate of a step, counted from 0. */
  readonly rateOf: (step: number) => number
}

/** The lines of metrics.jsonl: one a step, and one an epoch with the mean loss of its steps. */
export class MetricsLog {
  #steps: number

  /** @param lines of the steps done before @param steps their number */
  constructor(
    readonly lines: MetricsLine[],
    steps: number,
    private readonly options: MetricsLogOptions,
  ) {
    this.#steps = steps
  }

  /**
   * Adds the losses of the steps that follow.
   *
   * @returns their mean, 0 where there are none
   * @throws Error naming objective and step of the first loss that is not finite
   */
  add(losses: Float32Array): number {
    const { objective, rateOf, stepsPerEpoch } = this.options
    let sum = 0
    for (const loss of losses) {
      const lr = rateOf(this.#steps++)
      const step = this.#steps
      if (!Number.isFinite(loss))
        throw new Error(
          `${objective}: the loss of step ${step} is ${loss}, at a learning rate of ${lr}; a lower lr may help`,
        )
      this.lines.push({ step, loss, lr })
      sum += loss
      if (step % stepsPerEpoch === 0) this.lines.push(this.#epoch(step))
    }
    return sum / Math.max(1, losses.length)
  }

  #epoch(step: number): MetricsLine {
    const { stepsPerEpoch } = this.options
    const losses = this.lines.filter((line) => 'lr' in line && line.step > step - stepsPerEpoch)
    const loss = losses.reduce((sum, line) => sum + line.loss, 0) / losses.length
    return { epoch: step / stepsPerEpoch, step, loss }
  }
}
