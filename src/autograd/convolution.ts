import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { pieces } from '../gpu/pieces.ts'
import { accumulate } from './accumulate.ts'
import { type ConvolutionShape, foldPixels } from './convolutionShape.ts'
import { isNarrow, lanesOf, rowCall } from './convolutionTiles.ts'
import { type ConvolutionVariant, tunedVariant } from './convolutionVariant.ts'
import { imageOf, packPanels, packRows, releaseCopies, summedOperand } from './operands.ts'

/** Longest chain of additions in the gradient of the weights, for its rounding error. */
const MAX_CHAIN = 16384
/** Slices of a block in shaders/reduce/sum_slices.wesl. */
const SUM_BLOCK = 32

/** y = x * w, see shaders/conv2d/forward.wesl. */
export function convolve(
  gpu: Gpu,
  given: ConvolutionShape,
  { w, ...images }: { x: GpuArray<'f32'>; w: GpuArray<'f32'>; y: GpuArray<'f32'> },
  forced?: ConvolutionVariant,
): void {
  const shape = foldPixels(given)
  for (const { count: batch, views } of pieces(gpu, shape.batch, images))
    convolvePiece(gpu, { ...shape, batch }, { w, ...views }, forced)
}

function convolvePiece(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { x: GpuArray<'f32'>; w: GpuArray<'f32'>; y: GpuArray<'f32'> },
  forced: ConvolutionVariant | undefined,
): void {
  const variant = forced ?? tunedVariant(gpu, 'forward', shape)
  const pixels = shape.outHeight * shape.outWidth
  const { call, tiles, columnTiles, packsRows } = rowCall(
    gpu,
    shape,
    pixels,
    shape.outChannels,
    variant,
  )
  const { CI4, CO4, NARROW } = call.conditions
  const kernelRows = buffers.w.length / shape.outChannels
  const w = packPanels(
    gpu,
    buffers.w,
    kernelRows,
    CI4 && CO4 && !NARROW ? tiles : 0,
    variant.panels,
  )
  const x = packRows(
    gpu,
    buffers.x,
    [1, shape.batch, shape.inChannels],
    packsRows && CI4 ? columnTiles : 0,
    variant.panels,
  )
  const xRead = imageOf(gpu, x, CI4, true, variant.images)
  const wRead = imageOf(gpu, w, CO4, tiles > 1, variant.images)
  gpu.dispatch(kernels.conv2d_forward, {
    ...call,
    conditions: {
      ...call.conditions,
      W_PANELS: w !== buffers.w,
      X_ROWS: x !== buffers.x,
      W_IMAGE: wRead !== w,
      X_IMAGE: xRead !== x,
    },
    buffers: { x: xRead, w: wRead, y: buffers.y },
  })
  releaseCopies([x, xRead, w, wRead], buffers)
}

/** The gradient of x, see shaders/conv2d/backward_data.wesl: a dispatch a phase of the strides. */
export function convolveBackwardData(
  gpu: Gpu,
  given: ConvolutionShape,
  { w, ...images }: { dy: GpuArray<'f32'>; w: GpuArray<'f32'>; dx: GpuArray<'f32'> },
  forced?: ConvolutionVariant,
): void {
  const shape = foldPixels(given)
  for (const { count: batch, views } of pieces(gpu, shape.batch, images))
    backwardDataPiece(gpu, { ...shape, batch }, { w, ...views }, forced)
}

function backwardDataPiece(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { dy: GpuArray<'f32'>; w: GpuArray<'f32'>; dx: GpuArray<'f32'> },
  forced: ConvolutionVariant | undefined,
): void {
  const variant = forced ?? tunedVariant(gpu, 'backward-data', shape)
  const { strideH, strideW, inHeight, inWidth, inChannels, outChannels } = shape
  const taps = shape.kernelHeight * shape.kernelWidth
  const phases: { phaseH: number; phaseW: number; phaseHeight: number; phaseWidth: number }[] = []
  for (let phaseH = 0; phaseH < Math.min(strideH, inHeight); phaseH++)
    for (let phaseW = 0; phaseW < Math.min(strideW, inWidth); phaseW++)
      phases.push({
        phaseH,
        phaseW,
        phaseHeight: Math.ceil((inHeight - phaseH) / strideH),
        phaseWidth: Math.ceil((inWidth - phaseW) / strideW),
      })
  const calls = phases.map((phase) => ({
    phase,
    ...rowCall(gpu, shape, phase.phaseHeight * phase.phaseWidth, inChannels, variant),
  }))
  const { call: first, tiles, columnTiles, packsRows } = calls[0]!
  const { CO4, NARROW } = first.conditions
  const w = packRows(
    gpu,
    buffers.w,
    [taps, inChannels, outChannels],
    CO4 && !NARROW ? tiles : 0,
    variant.panels,
  )
  const dy = packRows(
    gpu,
    buffers.dy,
    [1, shape.batch, outChannels],
    packsRows && CO4 ? columnTiles : 0,
    variant.panels,
  )
  const dyRead = imageOf(gpu, dy, CO4, true, variant.images)
  const wRead = imageOf(gpu, w, CO4, tiles > 1, variant.images)
  for (const { phase, call } of calls)
    gpu.dispatch(kernels.conv2d_backward_data, {
      ...call,
      conditions: {
        ...call.conditions,
        W_ROWS: w !== buffers.w,
        DY_ROWS: dy !== buffers.dy,
        W_IMAGE: wRead !== w,
        DY_IMAGE: dyRead !== dy,
      },
      params: { ...call.params, ...phase },
      buffers: { dy: dyRead, w: wRead, dx: buffers.dx },
    })
  releaseCopies([dy, dyRead, w, wRead], buffers)
}

/** The gradient of w, see shaders/conv2d/backward_weights.wesl; those of pieces of the images in order. */
export function convolveBackwardWeights(
  gpu: Gpu,
  given: ConvolutionShape,
  { dw, ...images }: { x: GpuArray<'f32'>; dy: GpuArray<'f32'>; dw: GpuArray<'f32'> },
  forced?: ConvolutionVariant,
): void {
  const shape = foldPixels(given)
  for (const { first, count: batch, views } of pieces(gpu, shape.batch, images)) {
    const sum = first === 0 ? dw : gpu.empty('f32', dw.shape, 'dW of a piece')
    backwardWeightsPiece(gpu, { ...shape, batch }, { dw: sum, ...views }, forced)
    if (sum === dw) continue
    accumulate(gpu, sum, dw)
    sum.release()
  }
}

function backwardWeightsPiece(
  gpu: Gpu,
  shape: ConvolutionShape,
  buffers: { x: GpuArray<'f32'>; dy: GpuArray<'f32'>; dw: GpuArray<'f32'> },
  forced: ConvolutionVariant | undefined,
): void {
  const variant = forced ?? tunedVariant(gpu, 'backward-weights', shape)
  const { lanes, conditions } = lanesOf(gpu, shape, variant)
  const taps = shape.kernelHeight * shape.kernelWidth
  const rows = taps * shape.inChannels
  const narrow = isNarrow(shape.outChannels, variant)
  const columnTiles = Math.ceil(shape.outChannels / (narrow ? 16 : 32))
  const rowGroups = Math.ceil(rows / (4 * lanes))
  const pixels = shape.outHeight * shape.outWidth
  const chains = Math.ceil((shape.batch * pixels) / MAX_CHAIN)
  // Of the tiles that are chosen by shape, so that no other variant changes the order of the sums.
  const usualTiles =
    Math.ceil(shape.outChannels / (isNarrow(shape.outChannels, {}) ? 16 : 32)) *
    Math.ceil(rows / (4 * gpu.profile.lanes))
  const { dw } = buffers
  const wanted = Math.min(
    variant.slices ?? Math.max(chains, Math.ceil(gpu.profile.targetWorkgroups / usualTiles)),
    Math.max(1, Math.floor(gpu.largestBinding / 4 / dw.length)),
  )
  const imagesPerSlice = Math.max(4, 4 * Math.ceil(shape.batch / wanted / 4))
  const imageSlices = Math.ceil(shape.batch / imagesPerSlice)
  const pixelsPerSlice = Math.ceil(pixels / Math.max(1, Math.floor(wanted / imageSlices)))
  const slices = imageSlices * Math.ceil(pixels / pixelsPerSlice)
  const xRows = shape.batch * shape.inHeight * shape.inWidth
  const { CI4, CO4 } = conditions
  const { x, read: xRead } = summedOperand(
    gpu,
    buffers.x,
    xRows,
    CI4 ? taps * columnTiles : 0,
    variant,
  )
  const dyRows = shape.batch * pixels
  const { x: dy, read: dyRead } = summedOperand(
    gpu,
    buffers.dy,
    dyRows,
    CO4 ? rowGroups : 0,
    variant,
  )
  const partials = slices > 1 ? gpu.empty('f32', [slices, dw.length], 'dW slices') : dw
  gpu.dispatch(kernels.conv2d_backward_weights, {
    constants: { LANES: lanes },
    conditions: {
      ...conditions,
      ONE_TAP: taps === 1 || shape.inChannels % (4 * lanes) === 0,
      NARROW: narrow,
      ONE_ROW: false,
      X_PANELS: x !== buffers.x,
      DY_PANELS: dy !== buffers.dy,
      X_IMAGE: xRead !== x,
      DY_IMAGE: dyRead !== dy,
    },
    buffers: { x: xRead, dy: dyRead, partials },
    params: { ...shape, imageSlices, imagesPerSlice, pixelsPerSlice },
    workgroups: [columnTiles, rowGroups, slices],
  })
  releaseCopies([x, xRead, dy, dyRead], buffers)
  if (partials === dw) return
  sumSlices(gpu, partials, dw, slices)
  partials.release()
}

/** y[i] = sum over the first axis of x [slices, ...y's shape], in order. */
export function sumSlices(gpu: Gpu, x: GpuArray<'f32'>, y: GpuArray<'f32'>, slices: number): void {
  const vec4 = y.length % 4 === 0
  const blocks = Math.ceil(slices / SUM_BLOCK)
  for (const { first, views } of pieces(gpu, blocks, { x }, SUM_BLOCK * y.length))
    gpu.dispatch(kernels.reduce_sum_slices, {
      ...elementwiseCall(gpu, y, { slices: views.x.length / y.length }, vec4 ? 4 : 1),
      conditions: { VEC4: vec4, CONTINUED: first > 0 },
      buffers: { x: views.x, y },
    })
}
