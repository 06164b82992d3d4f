import { convolve, convolveBackwardData, convolveBackwardWeights } from '../autograd/convolution.ts'
import { type ConvolutionShape, productShape } from '../autograd/convolutionShape.ts'
import {
  type ConvolutionPass,
  type ConvolutionVariant,
  convolutionClass,
  convolutionPasses,
} from '../autograd/convolutionVariant.ts'
import { convolutionShape } from '../autograd/ops/conv2d.ts'
import { profileProgram, timeProgram } from '../gpu/deviceTime.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { Program } from '../gpu/program.ts'
import { BenchArrays } from './arrays.ts'
import type { BenchSizes } from './benchCase.ts'
import { type HostConvolution, sampleConvolution } from './convolutionSamples.ts'
import { resnetConvolutions } from './resnetShapes.ts'
import { median } from './samples.ts'

/** What was found for one pass over one class of shapes. */
export interface Picked {
  /** `convolutionClass` of the pass and the shape. */
  readonly key: string
  readonly shape: string
  readonly pass: ConvolutionPass
  /** What differs from the variant chosen by shape; empty where nothing was faster. */
  readonly variant: ConvolutionVariant
  readonly ms: number
  /** Time of the variant chosen by shape. */
  readonly usualMs: number
  readonly candidates: number
  /** Variants that gave other bits than the usual one and so were not timed. */
  readonly wrong: readonly ConvolutionVariant[]
}

export interface TuneOptions {
  /** Milliseconds after which no further shape is begun; the costliest come first. */
  readonly budget?: number
  /** Stops after the shape in hand. */
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number, next: string) => void
}

/** Relative error of the drawn elements: float32 sums of up to 16,384 products, and no cancelling among them. */
const TOLERANCE = 1e-5
/** Share of the time that a variant must save: less is within the spread of samples. */
const WORTH = 0.05
/** A variant whose first run takes so much longer than the best first run is not timed again. */
const HOPELESS = 1.3
const RUNS = 7
/** Values that are written before each run, so that caches hold as little of its operands as in a training step. */
const SWEPT = 2 ** 23

/** ResNet-50's distinct convolutions, and its last layer. */
export function resnetShapes(sizes: BenchSizes, classes: number): ConvolutionShape[] {
  const { batch } = sizes
  const shapes = resnetConvolutions(sizes).map((c) =>
    convolutionShape(
      [batch, c.inSize, c.inSize, c.inChannels],
      [c.kernel, c.kernel, c.inChannels, c.outChannels],
      { stride: c.stride, padding: (c.kernel - 1) / 2 },
    ),
  )
  return [...shapes, productShape(batch, shapes.at(-1)!.outChannels * 4, classes)]
}

/** Multiply-adds of a pass; taps in the padding count. */
function products(s: ConvolutionShape): number {
  const { batch, outHeight, outWidth, kernelHeight, kernelWidth, inChannels, outChannels } = s
  return batch * outHeight * outWidth * kernelHeight * kernelWidth * inChannels * outChannels
}

/**
 * Finds the fastest variant of each pass for each class of the shapes given.
 *
 * Each is timed with its operands out of the caches, as far as that goes, since in a training step they are.
 * Options are changed one at a time, from those chosen by shape, and kept while that saves time. The variant chosen by
 * shape is first compared with drawn elements in float64, each other with its bits: one that gives others is not taken, so
 * that tuning changes no result.
 *
 * @throws Error where the variant chosen by shape is wrong on this device
 */
export async function tuneConvolutions(
  gpu: Gpu,
  shapes: readonly ConvolutionShape[],
  { budget = Number.POSITIVE_INFINITY, signal, onProgress = () => {} }: TuneOptions = {},
): Promise<Picked[]> {
  const largest = new Map<string, { shape: ConvolutionShape; pass: ConvolutionPass }>()
  for (const shape of [...shapes].sort((a, b) => products(b) - products(a)))
    for (const pass of convolutionPasses) {
      const key = convolutionClass(pass, shape)
      if (!largest.has(key)) largest.set(key, { shape, pass })
    }
  const start = performance.now()
  const picked: Picked[] = []
  for (const [key, { shape, pass }] of largest) {
    if (performance.now() - start > budget || signal?.aborted) break
    onProgress(picked.length, largest.size, `${textOf(shape)}, ${pass}`)
    picked.push({ key, shape: textOf(shape), pass, ...(await tunePass(gpu, pass, shape)) })
  }
  onProgress(picked.length, picked.length, '')
  return picked
}

function textOf(s: ConvolutionShape): string {
  const stride = s.strideH > 1 ? ` / ${s.strideH}` : ''
  return `${s.batch}x${s.inHeight}x${s.inWidth}x${s.inChannels} -> ${s.outChannels}, ${s.kernelHeight}x${s.kernelWidth}${stride}`
}

/** Variants that differ from `from` in one option. */
function neighbours(gpu: Gpu, pass: ConvolutionPass, from: ConvolutionVariant) {
  const { software, subgroups8, fastImages, lanes } = gpu.profile
  const ofRows = pass === 'backward-weights' ? [] : (['flat', 'oneRow'] as const)
  const switches = [
    ...ofRows,
    'narrow',
    'panels',
    ...(subgroups8 ? (['subgroups'] as const) : []),
    ...(fastImages ? (['images'] as const) : []),
  ]
  const switched = switches.flatMap((name) =>
    [true, false].map((value): ConvolutionVariant => ({ ...from, [name]: value })),
  )
  // A software driver runs a workgroup on one thread: its lanes are the vector's.
  const wider = software ? [] : [32, 64, 128, 256].map((count) => ({ ...from, lanes: count }))
  return [...switched, ...wider.filter((variant) => variant.lanes !== (from.lanes ?? lanes))]
}

interface Candidate {
  readonly variant: ConvolutionVariant
  readonly program: Program
}

async function tunePass(
  gpu: Gpu,
  pass: ConvolutionPass,
  shape: ConvolutionShape,
): Promise<Omit<Picked, 'key' | 'shape' | 'pass'>> {
  const arrays = new BenchArrays(gpu)
  const s = shape
  const x = arrays.uniform([s.batch, s.inHeight, s.inWidth, s.inChannels])
  const w = arrays.uniform([s.kernelHeight, s.kernelWidth, s.inChannels, s.outChannels])
  const dy = arrays.uniform([s.batch, s.outHeight, s.outWidth, s.outChannels])
  const of = { forward: dy, 'backward-data': x, 'backward-weights': w }[pass]
  const result = arrays.keep(gpu.empty('f32', of.shape, 'result'))
  const swept = arrays.keep(gpu.empty('f32', [SWEPT], 'swept'))
  const record = async (variant: ConvolutionVariant): Promise<Candidate> => {
    const { program } = await gpu.record(() => {
      sweep(gpu, swept)
      if (pass === 'forward') convolve(gpu, shape, { x, w, y: result }, variant)
      else if (pass === 'backward-data')
        convolveBackwardData(gpu, shape, { dy, w, dx: result }, variant)
      else convolveBackwardWeights(gpu, shape, { x, dy, dw: result }, variant)
    })
    return { variant, program }
  }
  const run = async ({ program }: Candidate) => {
    gpu.clear(result)
    await gpu.flush()
    program.run()
    return gpu.read(result)
  }
  const tried = new Map<string, Candidate>()
  const wrong: ConvolutionVariant[] = []
  try {
    const usual = await record({})
    tried.set(usual.program.signature, usual)
    const bits = await run(usual)
    const host = { x: await gpu.read(x), w: await gpu.read(w), dy: await gpu.read(dy) }
    checkSamples(pass, shape, host, bits)
    let best = { candidate: usual, ms: 0, usualMs: 0 }
    for (let improved = true; improved; ) {
      improved = false
      const fresh: Candidate[] = []
      for (const variant of neighbours(gpu, pass, best.candidate.variant)) {
        const candidate = await record(variant)
        if (tried.has(candidate.program.signature)) {
          candidate.program.dispose()
          continue
        }
        tried.set(candidate.program.signature, candidate)
        const result = await run(candidate)
        if (result.every((value, i) => value === bits[i])) fresh.push(candidate)
        else wrong.push(variant)
      }
      const hopeful = await promising(gpu, [best.candidate, ...fresh])
      const inTurn = [...new Set([usual, best.candidate, ...hopeful])]
      const times = await sampleInTurn(gpu, inTurn, RUNS)
      const timeOf = (candidate: Candidate) => times[inTurn.indexOf(candidate)]!
      const usualMs = timeOf(usual)
      const before = best.candidate
      const fastest = inTurn.reduce((a, b) => (timeOf(b) < timeOf(a) ? b : a))
      improved = timeOf(fastest) < (1 - WORTH) * timeOf(before)
      const candidate = improved ? fastest : before
      best = { candidate, ms: timeOf(candidate), usualMs }
    }
    const { candidate, ms, usualMs } = best
    // The last round has both in turn: a gain of an earlier one may have been chance.
    const isWorth = ms < (1 - WORTH) * usualMs
    const found = isWorth ? { variant: candidate.variant, ms } : { variant: {}, ms: usualMs }
    return { ...found, usualMs, candidates: tried.size, wrong }
  } finally {
    for (const { program } of tried.values()) program.dispose()
    arrays.release()
    await gpu.idle()
    gpu.trim()
  }
}

/** Those whose second run is not much slower than the fastest one's. */
async function promising(gpu: Gpu, candidates: readonly Candidate[]): Promise<Candidate[]> {
  const times = await sampleInTurn(gpu, candidates, 1)
  const fastest = Math.min(...times)
  return candidates.filter((_, i) => times[i]! < HOPELESS * fastest)
}

function sweep(gpu: Gpu, swept: GpuArray<'f32'>): void {
  gpu.dispatch(kernels.elementwise_fill, {
    ...elementwiseCall(gpu, swept, { value: 1 }),
    buffers: { y: swept },
  })
}

/** Median time of each candidate's dispatches after the first, the sweep; with it where the device tells no times. */
async function sampleInTurn(
  gpu: Gpu,
  candidates: readonly Candidate[],
  runs: number,
): Promise<number[]> {
  const samples = candidates.map((): number[] => [])
  for (let run = 0; run < runs; run++)
    for (const [i, { program }] of candidates.entries()) {
      const dispatches = await profileProgram(gpu, program)
      const ms = dispatches
        ? dispatches.slice(1).reduce((sum, dispatch) => sum + dispatch.ms, 0)
        : await timeProgram(gpu, program)
      samples[i]!.push(ms)
    }
  return samples.map(median)
}

function checkSamples(
  pass: ConvolutionPass,
  shape: ConvolutionShape,
  host: HostConvolution,
  result: Float32Array,
): void {
  const samples = sampleConvolution(pass, shape, host)
  const norm = (values: number[]) => Math.hypot(...values)
  const error =
    norm(samples.map(([i, value]) => result[i]! - value)) / norm(samples.map(([, value]) => value))
  if (!(error < TOLERANCE))
    throw new Error(
      `conv2d ${pass} of ${textOf(shape)} has relative error ${error.toExponential(1)} on this device: run gramgrad doctor`,
    )
}
