import { timeProgram } from '../gpu/deviceTime.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Program } from '../gpu/program.ts'

/** Milliseconds that one sample lasts at least, so that the clock's grain does not show. */
const SAMPLE_MILLISECONDS = 10
const MAX_REPEATS = 1000
/** Share of the shortest sample so far that the host sleeps. */
const SLEPT = 0.8

/** The middle one of some numbers, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The geometric mean of some numbers above 0. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/**
 * Times in milliseconds of each program, one sample of each program in each of `runs` rounds, after a
 * round that warms up and says how often a program runs in a sample.
 */
export async function sampleInTurn(
  gpu: Gpu,
  programs: readonly Program[],
  runs: number,
): Promise<number[][]> {
  const subjects: { program: Program; repeats: number; asleep: number; samples: number[] }[] = []
  for (const program of programs) {
    await timeProgram(gpu, program)
    const once = await timeProgram(gpu, program)
    const wanted = Math.ceil(SAMPLE_MILLISECONDS / Math.max(once, 1e-3))
    const repeats = Math.min(MAX_REPEATS, wanted)
    subjects.push({ program, repeats, asleep: SLEPT * once * repeats, samples: [] })
  }
  for (let run = 0; run < runs; run++)
    for (const subject of subjects) {
      const { program, repeats, asleep, samples } = subject
      const ms = await timeProgram(gpu, program, repeats, asleep)
      samples.push(ms)
      subject.asleep = Math.min(asleep, SLEPT * ms * repeats)
    }
  return subjects.map(({ samples }) => samples)
}

/** Median time in milliseconds of each program over `runs` rounds. */
export async function alternate(
  gpu: Gpu,
  programs: readonly Program[],
  runs: number,
): Promise<number[]> {
  return (await sampleInTurn(gpu, programs, runs)).map(median)
}

/**
 * The median of the ratios of samples that were taken in the same rounds: what slows the machine down
 * for longer than a round cancels.
 */
export function medianRatio(samples: readonly number[], to: readonly number[]): number {
  return median(samples.map((sample, round) => sample / to[round]!))
}
