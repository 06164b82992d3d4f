import type { Gpu } from '../gpu/gpu.ts'
import { GpuArray } from '../gpu/gpuArray.ts'

/** Labels on the device, or on the host, where they are checked. */
export type Labels = GpuArray<'u32'> | Uint32Array

/**
 * @throws Error naming the first label that is not below the number of classes
 */
function checkLabels(labels: Uint32Array, classes: number): void {
  const at = labels.findIndex((label) => label >= classes)
  if (at >= 0)
    throw new Error(`labels: label ${at} is ${labels[at]}, expected an integer below ${classes}`)
}

/**
 * Checks labels, brings them to the device where they are not there yet, and calls `body`.
 *
 * @throws Error when their number differs from that of the rows, or a host label is out of range
 */
export function withLabels(
  gpu: Gpu,
  labels: Labels,
  rows: number,
  classes: number,
  body: (labels: GpuArray<'u32'>) => void,
): void {
  if (labels.length !== rows)
    throw new Error(`labels: ${labels.length} labels came for ${rows} examples`)
  if (labels instanceof GpuArray) {
    body(labels)
    return
  }
  checkLabels(labels, classes)
  const uploaded = gpu.upload('u32', [rows], labels, 'labels')
  body(uploaded)
  uploaded.release()
}
