import process from 'node:process'
import type { BenchSizes } from '../bench/benchCase.ts'
import { type Picked, resnetShapes, tuneConvolutions } from '../bench/tuneConvolutions.ts'
import type { KernelChoices } from '../gpu/choices.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Progress } from './progress.ts'
import { shippedTuning, writeTuning } from './tuningCache.ts'

/** Milliseconds of a tuning that was not asked for. */
const BUDGET = 10_000

/** The choices of a tuning, by class. */
export function choicesOf(picked: readonly Picked[]): KernelChoices {
  return Object.fromEntries(picked.map(({ key, variant }) => [key, { ...variant }]))
}

/**
 * Tunes a device that has neither a tuning of its own nor one that comes with the package, for some seconds, and keeps
 * what was found. GRAMGRAD_TUNE=off skips it.
 *
 * @param shipped for tests: what comes with the package
 */
export async function tuneAtFirstUse(
  gpu: Gpu,
  sizes: BenchSizes & { readonly classes: number },
  progress: Progress,
  shipped: KernelChoices | null = shippedTuning(gpu.profile),
): Promise<void> {
  const isTuned = shipped !== null || Object.keys(gpu.choices).length > 0
  if (isTuned || process.env.GRAMGRAD_TUNE === 'off') return
  progress.say(
    'First use of this device: some seconds of tuning (GRAMGRAD_TUNE=off skips it, gramgrad tune does it all)',
  )
  const task = progress.task('Tuning', 1, 'shapes')
  const picked = await tuneConvolutions(gpu, resnetShapes(sizes, sizes.classes), {
    budget: BUDGET,
    onProgress: (done, total, next) => task.update(done, next || undefined, total),
  })
  task.end()
  gpu.choices = choicesOf(picked)
  await writeTuning(gpu.profile, gpu.choices)
}
