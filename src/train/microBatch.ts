import type { ResNet } from '../nn/resnet.ts'

/** Bytes that every WebGPU device binds at once: the specification's default limit. */
const BINDING_BYTES = 2 ** 27

/**
 * The largest micro-batch that divides the batch and whose activations every WebGPU device can bind:
 * the same on all devices, since batch norm normalises by it. Where there is none, the batch itself,
 * which then runs in pieces.
 *
 * @param batch images of a step, at least 2
 * @param shape of the network's input, [height, width, channels]
 */
export function largestMicroBatch(
  network: ResNet,
  batch: number,
  [height, width, channels]: readonly [number, number, number],
): number {
  const floats = Math.max(network.largestActivation(height, width), height * width * channels)
  const most = Math.floor(BINDING_BYTES / (4 * floats))
  for (let micro = Math.min(batch, most); micro > 1; micro--) if (batch % micro === 0) return micro
  return batch
}
