import type { Gpu } from '../gpu/gpu.ts'
import type { Program } from '../gpu/program.ts'
import type { BenchCase, BenchGroup, BenchOp, BenchSizes } from './benchCase.ts'
import {
  bestCopy,
  type CopyCeiling,
  copyArrays,
  type FmaCeiling,
  measureCopy,
  measureFma,
  recordCopy,
} from './ceilings.ts'
import { losses } from './lossOps.ts'
import { additions, batchNorms, optimiser, pools, reductions, relus } from './memoryOps.ts'
import { convolutions, gramProducts, matrixProducts } from './productOps.ts'
import { geometricMean, median, medianRatio, sampleInTurn } from './samples.ts'

/** The families that can be measured, in the order in which they are. */
export const benchOps: ReadonlyMap<string, BenchOp> = new Map(
  [
    losses,
    convolutions,
    matrixProducts,
    batchNorms,
    relus,
    additions,
    pools,
    optimiser,
    reductions,
    gramProducts,
  ].map((op) => [op.name, op]),
)

/** One pass of one operation at one shape, measured. */
export interface BenchRow {
  readonly op: string
  readonly shape: string
  readonly pass: string
  /** Median time on the device. */
  readonly ms: number
  /** Where operations bound the pass; a multiply-add is two. */
  readonly gflops?: number
  /** Where bytes bound it: those that must be read and written. */
  readonly gbps?: number
  /** What `percentOfPeak` compares with: the ceiling that leaves the pass the longest. */
  readonly bound: 'fma' | 'copy' | 'arithmetic'
  /** The shortest time that the bound allows, per cent of `ms`. */
  readonly percentOfPeak: number
  /** Time of the best copy of as many bytes, measured in turn with the pass. */
  readonly copyMs?: number
  /** Median of the ratios of samples of the same round. */
  readonly ratioToCopy?: number
  /** Time of the arithmetic that the pass needs, on registers, measured in turn too. */
  readonly arithmeticMs?: number
  readonly ratioToArithmetic?: number
}

/** Geometric means over the shapes of an operation. */
export interface BenchMean {
  readonly op: string
  readonly pass: string
  readonly gflops: number
  readonly percentOfPeak: number
}

/** All that was measured. */
export interface BenchResult {
  readonly ceilings: { readonly fma: FmaCeiling; readonly copy: CopyCeiling }
  readonly rows: readonly BenchRow[]
  readonly means: readonly BenchMean[]
}

export interface BenchOptions extends BenchSizes {
  /** Names of `benchOps`. */
  readonly ops: readonly string[]
  /** Samples of which the median is taken. */
  readonly runs: number
  /** Told of the groups of shapes that are done, and what comes next. */
  readonly onProgress?: (done: number, total: number, next: string) => void
}

/** Measures the device's ceilings, then operations against them. */
export async function runBench(gpu: Gpu, options: BenchOptions): Promise<BenchResult> {
  const { ops, runs, onProgress = () => {} } = options
  const groups = ops.flatMap((name) =>
    benchOps
      .get(name)!
      .groups(gpu, options)
      .map((make) => ({ name, make })),
  )
  const total = groups.length + 2
  onProgress(0, total, 'multiply-add ceiling')
  const fma = await measureFma(gpu)
  onProgress(1, total, 'copy ceiling')
  const copy = await measureCopy(gpu)
  const rows: BenchRow[] = []
  for (const [i, { name, make }] of groups.entries()) {
    onProgress(i + 2, total, name)
    rows.push(...(await measureGroup(gpu, name, make(), fma, runs)))
  }
  onProgress(total, total, '')
  return { ceilings: { fma, copy }, rows, means: meansOf(rows) }
}

async function measureGroup(
  gpu: Gpu,
  op: string,
  group: BenchGroup,
  fma: FmaCeiling,
  runs: number,
): Promise<BenchRow[]> {
  const owned: Program[] = []
  try {
    const rows: BenchRow[] = []
    for (const bytes of new Set(group.cases.map((one) => one.bytes))) {
      const cases = group.cases.filter((one) => one.bytes === bytes)
      const timed: Program[] = []
      for (const one of cases) {
        const programs = await one.record()
        owned.push(...programs)
        timed.push(programs[0]!)
      }
      const arithmetic = await Promise.all(cases.map((one) => one.arithmetic?.()))
      const roofs = arithmetic.filter((program) => program !== undefined)
      owned.push(...roofs)
      const samples = await sampleWithCopy(gpu, [...timed, ...roofs], bytes, runs)
      for (const [i, one] of cases.entries()) {
        const roof = arithmetic[i] && samples.programs[timed.length + roofs.indexOf(arithmetic[i])]
        rows.push(rowOf(op, one, { own: samples.programs[i]!, copy: samples.copy, roof }, fma))
      }
    }
    return rows
  } finally {
    for (const program of owned) program.dispose()
    group.release()
    await gpu.idle()
    gpu.trim()
  }
}

/** Samples of programs and, in turn with them, of the best copy of so many bytes, if any. */
async function sampleWithCopy(
  gpu: Gpu,
  programs: readonly Program[],
  bytes: number | undefined,
  runs: number,
): Promise<{ programs: number[][]; copy: number[] | undefined }> {
  if (!bytes) return { programs: await sampleInTurn(gpu, programs, runs), copy: undefined }
  const arrays = copyArrays(gpu, bytes)
  const { variant } = await bestCopy(gpu, arrays, 1)
  const copy = await recordCopy(gpu, arrays, variant)
  const samples = await sampleInTurn(gpu, [...programs, copy], runs)
  copy.dispose()
  for (const array of [arrays.x, arrays.y]) array.release()
  const copied = 8 * arrays.x.length
  return {
    programs: samples.slice(0, -1),
    copy: samples.at(-1)!.map((ms) => (ms * bytes) / copied),
  }
}

/** Samples of a pass, of a copy of its bytes and of its arithmetic, round by round. */
interface CaseSamples {
  readonly own: readonly number[]
  readonly copy: readonly number[] | undefined
  readonly roof: readonly number[] | undefined
}

function rowOf(
  op: string,
  { shape, pass, flops, bytes }: BenchCase,
  { own, copy, roof }: CaseSamples,
  fma: FmaCeiling,
): BenchRow {
  const ms = median(own)
  const named = { op, shape, pass, ms }
  if (flops !== undefined) {
    const gflops = flops / ms / 1e6
    return { ...named, gflops, bound: 'fma', percentOfPeak: (100 * gflops) / fma.gflops }
  }
  const [copyMs, ratioToCopy] = [median(copy!), medianRatio(own, copy!)]
  const row = { ...named, gbps: bytes! / ms / 1e6, copyMs, ratioToCopy }
  if (!roof) return { ...row, bound: 'copy', percentOfPeak: 100 / ratioToCopy }
  const [arithmeticMs, ratioToArithmetic] = [median(roof), medianRatio(own, roof)]
  return {
    ...row,
    arithmeticMs,
    ratioToArithmetic,
    bound: ratioToArithmetic < ratioToCopy ? 'arithmetic' : 'copy',
    percentOfPeak: 100 / Math.min(ratioToCopy, ratioToArithmetic),
  }
}

/** Means of the operations that are measured in operations a second, for each pass. */
function meansOf(rows: readonly BenchRow[]): BenchMean[] {
  const groups = new Map<string, BenchRow[]>()
  for (const row of rows) {
    if (row.gflops === undefined || row.op === losses.name) continue
    const key = `${row.op}/${row.pass}`
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => ({
      op: group[0]!.op,
      pass: group[0]!.pass,
      gflops: geometricMean(group.map(({ gflops }) => gflops!)),
      percentOfPeak: geometricMean(group.map(({ percentOfPeak }) => percentOfPeak)),
    }))
}
