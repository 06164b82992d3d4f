// What every engine is asked to do. Sizes are ResNet-50's own, batch 8; its 1,000 classes.

/** Sides of square matrices. */
const MATRICES = [512, 1024]

/** Height, input channels, output channels, kernel, stride of ResNet-50's distinct convolutions. */
const CONVOLUTIONS = [
  [224, 3, 64, 7, 2],
  [56, 64, 64, 1, 1],
  [56, 64, 64, 3, 1],
  [56, 64, 256, 1, 1],
  [56, 256, 64, 1, 1],
  [56, 256, 128, 1, 1],
  [56, 128, 128, 3, 2],
  [28, 128, 512, 1, 1],
  [56, 256, 512, 1, 2],
  [28, 512, 128, 1, 1],
  [28, 128, 128, 3, 1],
  [28, 512, 256, 1, 1],
  [28, 256, 256, 3, 2],
  [14, 256, 1024, 1, 1],
  [28, 512, 1024, 1, 2],
  [14, 1024, 256, 1, 1],
  [14, 256, 256, 3, 1],
  [14, 1024, 512, 1, 1],
  [14, 512, 512, 3, 2],
  [7, 512, 2048, 1, 1],
  [14, 1024, 2048, 1, 2],
  [7, 2048, 512, 1, 1],
  [7, 512, 512, 3, 1],
]
const PASSES = ['forward', 'backward-data', 'backward-weights']
const BATCH = 8

/** A case is plain data, so that it can be sent to a worker in any language. */
export const cases = [
  ...MATRICES.map((n) => ({ op: 'matmul', name: `matmul ${n}`, n })),
  ...CONVOLUTIONS.flatMap(([size, inChannels, outChannels, kernel, stride]) =>
    PASSES.map((pass) => ({
      op: 'conv',
      name: `conv ${size}x${size}x${inChannels} -> ${outChannels}, ${kernel}x${kernel} / ${stride}, ${pass}`,
      pass,
      batch: BATCH,
      size,
      inChannels,
      outChannels,
      kernel,
      stride,
      padding: (kernel - 1) / 2,
      outSize: Math.floor((size - 1) / stride) + 1,
    })),
  ),
  { op: 'step', name: 'ResNet-50 training step, 8x32x32', batch: BATCH, size: 32, classes: 1000 },
]
