import type { EpochMeasures, MetricsLine } from './runFolder.ts'

interface MetricsLogOptions {
  /** Names the objective in the error on a loss that is not finite. */
  readonly objective: string
  readonly stepsPerEpoch: number
  /** Learning rate of a step, counted from 0. */
  readonly rateOf: (step: number) => number
  /** A line every so many steps. */
  readonly logEvery: number
}

/** Where a log goes on: the step and the losses since the last full epoch. */
interface LogPosition {
  readonly step: number
  readonly epochLosses: readonly number[]
}

/** The lines of metrics.jsonl: one a logged step, and one an epoch with the mean loss of its steps. */
export class MetricsLog {
  #steps: number
  #epochLosses: number[]

  /** @param lines of the steps done before */
  constructor(
    readonly lines: MetricsLine[],
    { step, epochLosses }: LogPosition,
    private readonly options: MetricsLogOptions,
  ) {
    this.#steps = step
    this.#epochLosses = [...epochLosses]
  }

  /** Losses of the steps since the last full epoch. */
  get epochLosses(): readonly number[] {
    return this.#epochLosses
  }

  /**
   * Adds the losses of the steps that follow.
   *
   * @returns their mean, 0 where there are none
   * @throws Error naming objective and step of the first loss that is not finite
   */
  add(losses: Float32Array): number {
    const { objective, rateOf, stepsPerEpoch, logEvery } = this.options
    let sum = 0
    for (const loss of losses) {
      const lr = rateOf(this.#steps++)
      const step = this.#steps
      if (!Number.isFinite(loss))
        throw new Error(
          `${objective}: the loss of step ${step} is ${loss}, at a learning rate of ${lr}; a lower lr may help`,
        )
      if (step % logEvery === 0) this.lines.push({ step, loss, lr })
      this.#epochLosses.push(loss)
      sum += loss
      if (step % stepsPerEpoch === 0) this.#endEpoch(step)
    }
    return sum / Math.max(1, losses.length)
  }

  /** Adds what was found after the epoch that just ended: accuracy on held-out images, measures. */
  addToEpoch(found: { readonly top1?: number; readonly measures?: EpochMeasures }): void {
    const last = this.lines.pop()!
    if (!('epoch' in last)) throw new Error('no epoch ended with the last step')
    this.lines.push({ ...last, ...found })
  }

  #endEpoch(step: number): void {
    const loss = this.#epochLosses.reduce((a, b) => a + b, 0) / this.#epochLosses.length
    this.#epochLosses = []
    this.lines.push({ epoch: step / this.options.stepsPerEpoch, step, loss })
  }
}
