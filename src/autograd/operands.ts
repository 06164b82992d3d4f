import { fitsFlatImage, flatImage } from '../gpu/flatImage.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { GpuImage } from '../gpu/gpuImage.ts'
import type { ConvolutionVariant } from './convolutionVariant.ts'

const MAX_WORKGROUPS = 65535
/** Channels of a row from which on rows lie too far apart for a CPU to fetch ahead. */
const MIN_PANEL_CHANNELS = 128
/** Times that an array must be read before a copy in panels pays. */
const MIN_PANEL_READS = 8
/** Values of an array too large for caches, whose pixels are better read from panels or not from an image. */
const LARGE = 2 ** 20
/** Times that such an array must be read before panels pay. */
const MIN_LARGE_READS = 4

/** Whether a copy pays: on a CPU, for rows far apart that are read often; `forced` overrules where it is possible. */
function pays(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  length: number,
  reads: number,
  forced: boolean | undefined,
): boolean {
  // Twice, since the copy is padded to whole panels.
  if (reads === 0 || 8 * x.length > gpu.largestBinding) return false
  return (
    forced ?? (gpu.profile.software && length >= MIN_PANEL_CHANNELS && reads >= MIN_PANEL_READS)
  )
}

/**
 * x [rows, channels] in panels of 32 channels where that pays, else x itself; see shaders/conv2d/pack_panels.wesl.
 *
 * @param reads how often the array will be read; 0 where its reader can't take panels
 * @param forced packs, or does not, whatever pays
 */
export function packPanels(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  rows: number,
  reads: number,
  forced?: boolean,
): GpuArray<'f32'> {
  const channels = x.length / rows
  if (channels % 32 !== 0 || !pays(gpu, x, channels, reads, forced)) return x
  const panels = gpu.empty('f32', [channels / 32, rows, 32], 'panels')
  const groups = Math.ceil((gpu.profile.targetWorkgroups * 32) / channels)
  const rowsPerGroup = Math.max(Math.ceil(rows / groups), Math.ceil(rows / MAX_WORKGROUPS))
  gpu.dispatch(kernels.conv2d_pack_panels, {
    constants: { LANES: gpu.profile.lanes },
    buffers: { x, y: panels },
    params: { rows, channels, rowsPerGroup },
    workgroups: [channels / 32, Math.ceil(rows / rowsPerGroup), 1],
  })
  return panels
}

/**
 * x [taps, rows, depth] with the next four values of 32 rows together where that pays, else x itself; see
 * shaders/conv2d/pack_rows.wesl. `reads` and `forced` as in `packPanels`; depth must be a multiple of 4 to be read.
 */
export function packRows(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  [taps, rows, depth]: readonly [number, number, number],
  reads: number,
  forced?: boolean,
): GpuArray<'f32'> {
  if (!pays(gpu, x, depth, reads, forced)) return x
  const panels = Math.ceil(rows / 32)
  const y = gpu.empty('f32', [panels, taps, depth / 4, 32, 4], 'rows side by side')
  const wanted = Math.ceil(panels / Math.ceil(gpu.profile.targetWorkgroups / taps))
  const panelsPerGroup = Math.max(wanted, Math.ceil(panels / MAX_WORKGROUPS))
  gpu.dispatch(kernels.conv2d_pack_rows, {
    constants: { LANES: gpu.profile.lanes },
    buffers: { x, y },
    params: { rows, taps, depth, panelsPerGroup },
    workgroups: [Math.ceil(panels / panelsPerGroup), taps, 1],
  })
  return y
}

/**
 * x as an image where that pays, else x itself: a software driver reads pixels for all lanes at once, and buffers lane by
 * lane.
 *
 * @param vectorised whether its reader takes whole vec4s: a must
 * @param pays overruled by `forced`
 */
export function imageOf(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  vectorised: boolean,
  pays: boolean,
  forced?: boolean,
): GpuArray<'f32'> | GpuImage {
  const wanted = forced ?? (gpu.profile.fastImages && pays)
  return wanted && vectorised && fitsFlatImage(gpu, x) ? flatImage(gpu, x) : x
}

/**
 * An operand x [rows, channels] of the weights' gradient, whose rows are summed over: x or its copy in panels, and what the
 * kernel reads, that or its image.
 *
 * @param reads as in `packPanels`
 */
export function summedOperand(
  gpu: Gpu,
  given: GpuArray<'f32'>,
  rows: number,
  reads: number,
  variant: ConvolutionVariant,
): { x: GpuArray<'f32'>; read: GpuArray<'f32'> | GpuImage } {
  const isLarge = given.length >= LARGE
  const images = variant.images ?? gpu.profile.fastImages
  const forced = images && isLarge && reads >= MIN_LARGE_READS ? true : undefined
  const x = packPanels(gpu, given, rows, reads, variant.panels ?? forced)
  const read = imageOf(gpu, x, reads > 0, x !== given || !isLarge, variant.images)
  return { x, read }
}

/** Gives back what of `read` is neither given nor given back already. */
export function releaseCopies(
  read: readonly (GpuArray | GpuImage)[],
  given: Readonly<Record<string, GpuArray>>,
): void {
  const kept = new Set<unknown>(Object.values(given))
  for (const copy of new Set(read)) if (!kept.has(copy)) copy.release()
}
