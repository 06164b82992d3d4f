import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Program } from '../gpu/program.ts'
import { alternate } from './samples.ts'

type Condition = (typeof kernels.bench_loss_arithmetic.conditions)[number]

/** What each loss of logits computes besides softmax's exponential, or instead of it. */
const CONDITIONS: Readonly<Record<string, Partial<Record<Condition, true>>>> = {
  softmax: {},
  'label-smoothing': { SMOOTH: true },
  'logit-penalty': { PENALTY: true },
  'logit-norm': { NORM: true },
  sigmoid: { SIGMOID: true },
  'squared-error': { SQUARED: true },
}
const PLAIN = {
  SMOOTH: false,
  PENALTY: false,
  NORM: false,
  SIGMOID: false,
  SQUARED: false,
  TWO: false,
  FOUR: false,
}
/** Vectors of logits that are under way at once. */
const VALUES = [1, 2, 4] as const
const ROUNDS = 3

/**
 * The arithmetic of a loss and its gradient for so many logits, without their memory, as the fastest of
 * a family of kernels (shaders/bench/loss_arithmetic.wesl), in one dispatch; undefined for a loss that
 * is not of logits alone.
 */
export async function recordLossArithmetic(
  gpu: Gpu,
  loss: string,
  logits: number,
): Promise<Program | undefined> {
  const conditions = CONDITIONS[loss]
  if (!conditions) return undefined
  const { lanes, targetWorkgroups } = gpu.profile
  const programs: Program[] = []
  for (const values of VALUES) {
    const items = Math.ceil(logits / 4 / values)
    const workgroups = Math.min(targetWorkgroups, Math.ceil(items / lanes))
    const { program } = await gpu.record(() => {
      gpu.dispatch(kernels.bench_loss_arithmetic, {
        constants: { LANES: lanes },
        conditions: { ...PLAIN, ...conditions, TWO: values >= 2, FOUR: values >= 4 },
        buffers: { y: gpu.empty('f32', [workgroups * lanes]) },
        params: {
          turns: Math.ceil(items / workgroups / lanes),
          share: 1e-3,
          spread: 1e-4,
          pull: 1e-3,
          inverse: 0.5,
        },
        workgroups: [workgroups, 1, 1],
      })
    })
    programs.push(program)
  }
  const times = await alternate(gpu, programs, ROUNDS)
  const fastest = times.indexOf(Math.min(...times))
  for (const [i, program] of programs.entries()) if (i !== fastest) program.dispose()
  return programs[fastest]
}
