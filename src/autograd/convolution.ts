import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** Sizes of a 2-d convolution: x [N, H, W, Ci], w [R, S, Ci, Co], y [N, OH, OW, Co]. */
export interface ConvolutionShape {
  readonly batch: number
  readonly inHeight: number
  readonly inWidth: number
  readonly inChannels: number
  readonly outHeight: number
  readonly outWidth: number
  readonly outChannels: number
  readonly kernelHeight: number
  readonly kernelWidth: number
  readonly strideH: number
  readonly strideW: number
  readonly padH: number
  readonly padW: number
  readonly dilationH: number
  readonly dilationW: number
}

/** The sizes that make a convolution the matrix product x [batch, in] * w [in, out]. */
export function productShape(
  batch: number,
  inChannels: number,
  outChannels: number,
): ConvolutionShape {
  return {
    batch,
    inHeight: 1,
    inWidth: 1,
    inChannels,
    outHeight: 1,
    outWidth: 1,
    outChannels,
    kernelHeight: 1,
    kernelWidth: 1,
    strideH: 1,
    strideW: 1,
    padH: 0,
    padW: 0,
    dilationH: 1,
    dilationW: 1,
  }
}

/** Choices among the variants of a convolution kernel; what is left out is chosen by shape. */
export interface ConvolutionVariant {
  /** Rows of a tile in order (small batches) instead of one pixel of many images. */
  readonly flat?: boolean
  /** Whether lanes share what they load by subgroup broadcast. */
  readonly subgroups?: boolean
  /** Whether channels are loaded four at a time where their count allows. */
  readonly vectorised?: boolean
  /** Slices of the inner dimension of the weights' gradient. */
  readonly slices?: number
}

const COLUMNS = 16
const MAX_WORKGROUPS = 65535

interface Common {
  readonly lanes: number
  readonly subgroups: boolean
  readonly ci4: boolean
  readonly co4: boolean
}

function common(gpu: Gpu, shape: ConvolutionShape, variant: ConvolutionVariant): Common {
  const vectorised = variant.vectorised ?? true
  const subgroups = (variant.subgroups ?? true) && gpu.profile.subgroups8
  return {
    lanes: gpu.profile.lanes,
    subgroups,
    ci4: vectorised && shape.inChannels % 4 === 0,
    co4: vectorised && shape.outChannels % 4 === 0,
  }
}

/** How the rows of y (or of dx) fall into tiles, and the tiles to workgroups. */
function rowTiles(
  gpu: Gpu,
  lanes: number,
  batch: number,
  pixels: number,
  columns: number,
  variant: ConvolutionVariant,
) {
  const tileRows = 4 * lanes
  // Half-empty tiles cost more than masking the padding does.
  const flat = variant.flat ?? 2 * batch < tileRows
  const tiles = flat ? Math.ceil((batch * pixels) / tileRows) : pixels * Math.ceil(batch / tileRows)
  const columnTiles = Math.ceil(columns / COLUMNS)
  const groups = Math.ceil(gpu.profile.targetWorkgroups / columnTiles)
  const tilesPerGroup = Math.max(1, Math.floor(tiles / groups), Math.ceil(tiles / MAX_WORKGROUPS))
  return {
    flat,
    tiles,
    tilesPerGroup,
    workgroups: [columnTiles, Math.ceil(tiles / tilesPerGroup), 1] as const,
  }
}

/** The launch of a kernel over the rows of y (or of dx), but for its buffers. */
function rowCall(
  gpu: Gpu,
  shape: ConvolutionShape,
  pixels: number,
  columns: number,
  variant: ConvolutionVariant,
) {
  const { lanes, subgroups, ci4, co4 } = common(gpu, shape, variant)
  const plan = rowTiles(gpu, lanes, shape.batch, pixels, columns, variant)
  return {
    constants: { LANES: lanes },
    conditions: { SUBGROUPS8: subgroups, FLAT: plan.flat, CI4: ci4, CO4: co4 },
    params: { ...shape, tiles: plan.tiles, tilesPerGroup: plan.tilesPerGroup },
    workgroups: plan.workgroups,
  }
}

/** y = x * w, see shaders/conv2d/forward.wesl. */
export function convolve(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { x: GpuArray<'f32'>; w: GpuArray<'f32'>; y: GpuArray<'f32'> },
  variant: ConvolutionVariant = {},
): void {
  const pixels = shape.outHeight * shape.outWidth
  const call = rowCall(gpu, shape, pixels, shape.outChannels, variant)
  gpu.dispatch(kernels.conv2d_forward, { ...call, buffers })
}

/** The gradient of x, see shaders/conv2d/backward_data.wesl. */
export function convolveBackwardData(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { dy: GpuArray<'f32'>; w: GpuArray<'f32'>; dx: GpuArray<'f32'> },
  variant: ConvolutionVariant = {},
): void {
  const pixels = shape.inHeight * shape.inWidth
  const call = rowCall(gpu, shape, pixels, shape.inChannels, variant)
  gpu.dispatch(kernels.conv2d_backward_data, { ...call, buffers })
}

/** The gradient of w, see shaders/conv2d/backward_weights.wesl. */
export function convolveBackwardWeights(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { x: GpuArray<'f32'>; dy: GpuArray<'f32'>; dw: GpuArray<'f32'> },
  variant: ConvolutionVariant = {},
): void {
  const { lanes, subgroups, ci4, co4 } = common(gpu, shape, variant)
  const rows = shape.kernelHeight * shape.kernelWidth * shape.inChannels
  const columnTiles = Math.ceil(shape.outChannels / COLUMNS)
  const rowGroups = Math.ceil(rows / (4 * lanes))
  const pixels = shape.outHeight * shape.outWidth
  const wanted =
    variant.slices ?? Math.ceil(gpu.profile.targetWorkgroups / (columnTiles * rowGroups))
  const imagesPerSlice = Math.max(2, 2 * Math.ceil(shape.batch / wanted / 2))
  const imageSlices = Math.ceil(shape.batch / imagesPerSlice)
  const pixelsPerSlice = Math.ceil(pixels / Math.max(1, Math.floor(wanted / imageSlices)))
  const slices = imageSlices * Math.ceil(pixels / pixelsPerSlice)
  const { dw } = buffers
  const partials = slices > 1 ? gpu.empty('f32', [slices, dw.length], 'dW slices') : dw
  gpu.dispatch(kernels.conv2d_backward_weights, {
    constants: { LANES: lanes },
    conditions: {
      SUBGROUPS8: subgroups,
      ONE_TAP: shape.inChannels % (4 * lanes) === 0,
      CI4: ci4,
      CO4: co4,
    },
    buffers: { x: buffers.x, dy: buffers.dy, partials },
    params: { ...shape, imageSlices, imagesPerSlice, pixelsPerSlice },
    workgroups: [columnTiles, rowGroups, slices],
  })
  if (partials === dw) return
  sumSlices(gpu, partials, dw, slices)
  partials.release()
}

/** y[i] = sum over the first axis of x [slices, ...y's shape], in order. */
export function sumSlices(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>, slices: number): void {
  const vec4 = y.length % 4 === 0
  gpu.dispatch(kernels.reduce_sum_slices, {
    ...elementwiseCall(gpu, y, { slices }, vec4 ? 4 : 1),
    conditions: { VEC4: vec4 },
    buffers: { x, y },
  })
}
