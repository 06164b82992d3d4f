import { type Conv2dAttributes, convolutionShape } from '../../autograd/ops/conv2d.ts'
import { convolutionForward } from './convolution.ts'
import type { HostTensor } from './hostTensor.ts'

/** x [N, H, W, Ci], weight [R, S, Ci, Co] -> [N, OH, OW, Co]. */
export function conv2d(
  { x, weight }: { x: HostTensor; weight: HostTensor },
  attributes: Conv2dAttributes,
): HostTensor {
  const shape = convolutionShape(x.shape, weight.shape, attributes)
  return {
    value: convolutionForward(shape, x.value, weight.value),
    shape: [shape.batch, shape.outHeight, shape.outWidth, shape.outChannels],
  }
}
