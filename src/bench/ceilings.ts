import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import { foldWorkgroups } from '../gpu/workgroups.ts'
import { alternate } from './samples.ts'

/** The most that this device computes, and by which kernel of the family. */
export interface FmaCeiling {
  readonly gflops: number
  readonly kernel: string
}

/** The most that this device moves from a buffer to another, read and write counted. */
export interface CopyCeiling {
  readonly gbps: number
  readonly kernel: string
}

/** Multiply-adds of a chain in one turn of the loop. */
const FMAS_A_TURN = 8
const FMA_TURNS = 512
const CHAINS = [4, 8, 12, 16] as const
const ROUNDS = 5
const FINALISTS = 3

/** Bytes that are more than most caches hold, as far as the device binds them. */
const LARGE_COPY = 2 ** 28

interface Candidate<V> {
  readonly variant: V
  readonly program: Program
  /** Operations or bytes of one run. */
  readonly work: number
}

/**
 * The best of some candidates and its work per millisecond: one sample of each, then more of the few
 * that did best. All are disposed of.
 */
async function best<V>(gpu: Gpu, candidates: readonly Candidate<V>[], runs: number) {
  const rates = async (some: readonly Candidate<V>[], samples: number) => {
    const programs = some.map(({ program }) => program)
    const times = await alternate(gpu, programs, samples)
    return some
      .map((candidate, i) => ({ candidate, rate: candidate.work / times[i]! }))
      .sort((a, b) => b.rate - a.rate)
  }
  const ranked = await rates(candidates, 1)
  const finalists = ranked.slice(0, FINALISTS).map(({ candidate }) => candidate)
  const [winner] = await rates(finalists, runs)
  for (const { program } of candidates) program.dispose()
  return { variant: winner!.candidate.variant, rate: winner!.rate }
}

interface FmaVariant {
  readonly lanes: number
  readonly chains: (typeof CHAINS)[number]
  readonly vec4: boolean
}

async function recordFma(gpu: Gpu, variant: FmaVariant): Promise<Candidate<FmaVariant>> {
  const { lanes, chains, vec4 } = variant
  const invocations = Math.ceil((64 * gpu.profile.targetWorkgroups) / lanes) * lanes
  const { program } = await gpu.record(() => {
    gpu.dispatch(kernels.bench_fma, {
      constants: { LANES: lanes },
      conditions: { EIGHT: chains >= 8, TWELVE: chains >= 12, SIXTEEN: chains >= 16, VEC4: vec4 },
      buffers: { y: gpu.empty('f32', [invocations]) },
      params: { turns: FMA_TURNS, factor: 0.9, term: 0.1 },
      workgroups: foldWorkgroups(invocations / lanes),
    })
  })
  const work = 2 * invocations * FMA_TURNS * FMAS_A_TURN * chains * (vec4 ? 4 : 1)
  return { variant, program, work }
}

/** Measures a family of kernels of independent multiply-add chains: how many, how wide, how many lanes. */
export async function measureFma(gpu: Gpu): Promise<FmaCeiling> {
  const { lanes } = gpu.profile
  const widths = [false, true].flatMap((vec4) => CHAINS.map((chains) => ({ lanes, chains, vec4 })))
  const record = (variants: readonly FmaVariant[]) =>
    Promise.all(variants.map((variant) => recordFma(gpu, variant)))
  const first = await best(gpu, await record(widths), ROUNDS)
  // The number of lanes is chosen second, since each kernel takes a software driver long to compile.
  const lanesTried = [8, 32, 64, 256].filter(
    (count) => count <= gpu.device.limits.maxComputeInvocationsPerWorkgroup,
  )
  const second = await best(
    gpu,
    await record(lanesTried.map((count) => ({ ...first.variant, lanes: count }))),
    ROUNDS,
  )
  const { variant } = second.rate > first.rate ? second : first
  return {
    gflops: Math.max(first.rate, second.rate) / 1e6,
    kernel: `${variant.chains} chains of ${variant.vec4 ? 'vec4f' : 'f32'}, ${variant.lanes} lanes`,
  }
}

/** How a copy is shared out. */
export interface CopyVariant {
  readonly lanes: number
  readonly itemsPerLane: number
  readonly contiguous: boolean
}

/** Copies of the family that fit this device. */
function copyVariants(gpu: Gpu, items: number): CopyVariant[] {
  const { maxComputeInvocationsPerWorkgroup: most } = gpu.device.limits
  return [8, 64, 256]
    .filter((lanes) => lanes <= most)
    .flatMap((lanes) =>
      [1, 4, 32, 512]
        .filter((itemsPerLane) => itemsPerLane === 1 || itemsPerLane * lanes <= items)
        .flatMap((itemsPerLane) =>
          [false, true]
            .filter((contiguous) => itemsPerLane > 1 || !contiguous)
            .map((contiguous) => ({ lanes, itemsPerLane, contiguous })),
        ),
    )
}

/** Source and destination of a copy. */
export interface CopyArrays {
  readonly x: GpuArray<'f32'>
  readonly y: GpuArray<'f32'>
}

/** Arrays for a copy of `bytes` bytes in all, half of them read; of fewer where a binding ends. */
export function copyArrays(gpu: Gpu, bytes: number): CopyArrays {
  const most = Math.floor(gpu.largestBinding / 16)
  const shape = [4 * Math.min(most, Math.max(1, Math.round(bytes / 32)))]
  return { x: gpu.empty('f32', shape, 'copy source'), y: gpu.empty('f32', shape, 'copy') }
}

/** Records a copy. */
export async function recordCopy(
  gpu: Gpu,
  arrays: CopyArrays,
  { lanes, itemsPerLane, contiguous }: CopyVariant,
): Promise<Program> {
  const items = arrays.x.length / 4
  const { program } = await gpu.record(() => {
    gpu.dispatch(kernels.bench_copy, {
      constants: { LANES: lanes },
      conditions: { CONTIGUOUS: contiguous },
      buffers: { x: arrays.x, y: arrays.y },
      params: { items, itemsPerLane },
      workgroups: foldWorkgroups(Math.ceil(items / (lanes * itemsPerLane))),
    })
  })
  return program
}

/** The best way to copy these arrays, and its rate in bytes a millisecond. */
export async function bestCopy(gpu: Gpu, arrays: CopyArrays, runs: number) {
  const candidates: Candidate<CopyVariant>[] = []
  for (const variant of copyVariants(gpu, arrays.x.length / 4)) {
    const program = await recordCopy(gpu, arrays, variant)
    candidates.push({ variant, program, work: 8 * arrays.x.length })
  }
  return best(gpu, candidates, runs)
}

/** Measures a family of copies of more bytes than caches hold. */
export async function measureCopy(gpu: Gpu): Promise<CopyCeiling> {
  const arrays = copyArrays(gpu, LARGE_COPY)
  const { variant, rate } = await bestCopy(gpu, arrays, ROUNDS)
  for (const array of [arrays.x, arrays.y]) array.release()
  const { lanes, itemsPerLane, contiguous } = variant
  const order = contiguous ? 'contiguous' : 'strided'
  return {
    gbps: rate / 1e6,
    kernel: `${itemsPerLane} vec4f an invocation, ${order}, ${lanes} lanes`,
  }
}
