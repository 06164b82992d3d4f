import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

const MAX_WORKGROUPS = 65535
/** Channels of a row from which on rows lie too far apart for a CPU to fetch ahead. */
const MIN_PANEL_CHANNELS = 128
/** Times that an array must be read before a copy in panels pays. */
const MIN_PANEL_READS = 8

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
