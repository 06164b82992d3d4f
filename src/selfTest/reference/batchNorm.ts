import type { BatchNormAttributes } from '../../autograd/ops/batchNorm.ts'
import { type HostAttributes, type HostTensor, zeros } from './hostTensor.ts'

interface Inputs {
  x: HostTensor
  gamma: HostTensor
  beta: HostTensor
  residual?: HostTensor
}

/** Mean and biased variance of each channel of x [..., C]. */
function channelStatistics(x: HostTensor): { mean: Float64Array; variance: Float64Array } {
  const channels = x.shape.at(-1)!
  const rows = x.value.length / channels
  const mean = zeros([channels])
  const variance = zeros([channels])
  x.value.forEach((v, i) => {
    mean[i % channels]! += v / rows
  })
  x.value.forEach((v, i) => {
    variance[i % channels]! += (v - mean[i % channels]!) ** 2 / rows
  })
  return { mean, variance }
}

/** What the fused ReLU is applied to: gamma (x - mean) / sqrt(variance + eps) + beta + residual. */
export function batchNormPreActivation(
  { x, gamma, beta, residual }: Inputs,
  { training, eps, runningMean, runningVar }: HostAttributes<BatchNormAttributes>,
): HostTensor {
  const channels = x.shape.at(-1)!
  const { mean, variance } = training
    ? channelStatistics(x)
    : { mean: runningMean.value, variance: runningVar.value }
  const value = x.value.map((v, i) => {
    const c = i % channels
    const normalised = (v - mean[c]!) / Math.sqrt(variance[c]! + eps)
    return gamma.value[c]! * normalised + beta.value[c]! + (residual?.value[i] ?? 0)
  })
  return { value, shape: x.shape }
}

/** Batch normalisation with its optional residual and ReLU: x [..., C] -> the same shape. */
export function batchNorm(
  inputs: Inputs,
  attributes: HostAttributes<BatchNormAttributes>,
): HostTensor {
  const { value, shape } = batchNormPreActivation(inputs, attributes)
  return { value: attributes.relu ? value.map((v) => Math.max(v, 0)) : value, shape }
}
