import { convolveBackwardData } from '../autograd/convolution.ts'
import { productShape } from '../autograd/convolutionShape.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { featureShape } from './features.ts'
import { type Labels, withLabels } from './labels.ts'
import { releaseRowStatistics, rowRanges, rowStatistics } from './rowStatistics.ts'
import { sliceOf } from './slice.ts'

/**
 * Angular visual hardness of examples: A(x, w_y) / sum_k A(x, w_k), A the angle between features and
 * a class's weights (Chen et al. 2019; Kornblith et al. 2021, Figure E.1). 1 / K is the middle; a
 * lower value is an easier example. Only records device work.
 *
 * @param x [n, ...], at most as many as a kernel takes at once
 * @param weights [classes, p] of the last layer, as PyTorch stores it
 * @param labels [n], each below the number of classes
 * @returns [n], which the caller releases; -1 where features or weights are not finite, or have a norm
 * outside about 1e-15 to 1e19
 * @throws Error on shapes that do not fit, or a host label out of range
 */
export function angularHardness(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  weights: GpuArray<'f32'>,
  labels: Labels,
): GpuArray<'f32'> {
  const { n, p } = featureShape('features', x)
  const [classes, columns] = weights.shape as [number, number]
  if (weights.shape.length !== 2 || columns !== p)
    throw new Error(`weights are [${weights.shape}], expected [classes, ${p}]`)
  const { lanes } = gpu.profile
  const hardness = gpu.empty('f32', [n], 'angular hardness')
  withLabels(gpu, labels, n, classes, (onDevice) => {
    const scales = rowScales(gpu, x)
    const weightScales = rowScales(gpu, weights)
    const products = gpu.empty('f32', [n, classes], 'products with weights')
    convolveBackwardData(gpu, productShape(n, classes, p), { dy: x, w: weights, dx: products })
    gpu.dispatch(kernels.analysis_angular_hardness, {
      constants: { LANES: lanes },
      buffers: { products, scales, weightScales, labels: onDevice, hardness },
      params: { rows: n, classes },
      workgroups: [Math.ceil(n / lanes), 1, 1],
    })
    for (const array of [scales, weightScales, products]) array.release()
  })
  return hardness
}

/** One over the norms of all rows [n], 0 for a row of zeros, -1 where that can't be had. */
export function rowScales(gpu: Gpu, x: GpuArray<'f32'>): GpuArray<'f32'> {
  const n = x.shape[0]!
  const all = gpu.empty('f32', [n], 'row scales')
  for (const range of rowRanges(n)) {
    const statistics = rowStatistics(gpu, [x], range, {})
    gpu.copy(statistics.scales, sliceOf(all, range.first, range.count))
    releaseRowStatistics(statistics)
  }
  return all
}
