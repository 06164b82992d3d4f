import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Conv2dAttributes } from '../../src/autograd/ops/conv2d.ts'
import { resnetConvolutions } from '../../src/bench/resnetShapes.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { checkConvolution, type Size, variants } from './checkConvolution.ts'

const shapes: [string, Size, Size, Conv2dAttributes][] = [
  ['1x1', [2, 3, 5, 5], [1, 1, 5, 7], {}],
  ['3x3 of 16, batch 33', [33, 4, 4, 16], [3, 3, 16, 16], { padding: 1 }],
  ['3x3 stride 2', [5, 9, 8, 12], [3, 3, 12, 20], { stride: 2, padding: 1 }],
  ['stem', [3, 17, 15, 3], [7, 7, 3, 16], { stride: 2, padding: 3 }],
  ['valid 3x3', [2, 7, 6, 8], [3, 3, 8, 4], {}],
  ['padding beyond (k-1)/2', [2, 5, 5, 4], [3, 3, 4, 8], { padding: 2 }],
  ['2x2 stride 3', [2, 11, 10, 7], [2, 2, 7, 3], { stride: 3, padding: 1 }],
  ['dilation 2', [2, 9, 9, 4], [3, 3, 4, 4], { padding: 2, dilation: 2 }],
  [
    'dilation 2, stride 2',
    [17, 7, 1, 7],
    [3, 1, 7, 5],
    { padding: [3, 0], dilation: 2, stride: 2 },
  ],
  ['5x5, one channel', [1, 8, 7, 1], [5, 5, 1, 1], { padding: 2 }],
  ['41 to 47 channels, width 55', [1, 3, 55, 41], [1, 3, 41, 47], { padding: [0, 1] }],
  ['55 channels, widths 41, 47', [1, 41, 47, 3], [3, 3, 3, 55], { stride: 3 }],
  ['width 224', [1, 2, 224, 4], [2, 7, 4, 4], { padding: [1, 3], stride: [1, 2] }],
  ['104 channels', [4, 2, 2, 104], [3, 3, 104, 40], { padding: 1 }],
  ['440 channels, batch 33', [33, 1, 1, 440], [1, 1, 440, 104], {}],
  ['one pixel, 64 channels', [8, 1, 1, 64], [3, 3, 64, 64], { padding: 1 }],
  ['panels of 32', [5, 5, 7, 32], [3, 3, 32, 64], { padding: 1, stride: [2, 1] }],
  ['panels of one kind', [3, 4, 3, 12], [3, 2, 12, 96], { padding: 1, dilation: 2 }],
  ['panels, 1x1 stride 2', [6, 9, 9, 256], [1, 1, 256, 128], { stride: 2 }],
  ['1x1 stride 2 to one pixel', [64, 2, 2, 128], [1, 1, 128, 256], { stride: 2 }],
  ['1x1 of one pixel, padded', [33, 1, 1, 128], [1, 1, 128, 256], { padding: 1 }],
  ['matrix product', [96, 1, 1, 128], [1, 1, 128, 256], {}],
  ['batch 1, 1x1 stride 2', [1, 8, 8, 32], [1, 1, 32, 64], { stride: 2 }],
]

test('every variant of every pass, on every shape', async () => {
  const gpu = await openGpu()
  for (const [name, ...sizes] of shapes) await checkConvolution(gpu, name, sizes, variants)
  gpu.close()
})

// A kernel is chosen by shape: what a network meets at the end of its stages is part of the choice.
test('the chosen variants on the convolutions of narrow networks', async () => {
  const gpu = await openGpu()
  for (const [size, width, batch] of [
    [28, 0.125, 64],
    [32, 0.25, 8],
    [64, 0.25, 1],
  ] as const)
    for (const c of resnetConvolutions({ size, width, batch })) {
      const x: Size = [batch, c.inSize, c.inSize, c.inChannels]
      const w: Size = [c.kernel, c.kernel, c.inChannels, c.outChannels]
      const attributes = { stride: c.stride, padding: (c.kernel - 1) / 2 }
      await checkConvolution(gpu, `${x} * ${w}`, [x, w, attributes], { chosen: undefined })
    }
  gpu.close()
})

test('drawn shapes', async () => {
  const gpu = await openGpu()
  const stream = new RandomStream(20261125, 0)
  let index = 0
  let checked = 0
  const draw = <T>(from: readonly T[]): T => from[stream.integer(index++, from.length)]!
  for (let i = 0; i < 150; i++) {
    const sides = [1, 1, 2, 3, 4, 7]
    const kernels = [1, 1, 2, 3]
    const x: Size = [
      draw([1, 3, 8, 33, 64]),
      draw(sides),
      draw(sides),
      draw([1, 3, 4, 16, 32, 128, 132]),
    ]
    const w: Size = [draw(kernels), draw(kernels), x[3], draw([1, 5, 8, 32, 47, 128, 256])]
    const attributes = {
      stride: [draw([1, 2, 3]), draw([1, 2, 3])] as const,
      padding: [draw([0, 1, 2]), draw([0, 1, 2])] as const,
      dilation: [draw([1, 2]), draw([1, 2])] as const,
    }
    const fits = [0, 1].every(
      (axis) =>
        attributes.dilation[axis]! * (w[axis]! - 1) < x[axis + 1]! + 2 * attributes.padding[axis]!,
    )
    const products = x.reduce((a, b) => a * b) * w[0] * w[1] * w[3]
    if (!fits || products > 2e7) continue
    checked++
    const variant = draw(['flat', 'byPixel', 'panels', 'noPanels', 'images', 'buffers'] as const)
    await checkConvolution(
      gpu,
      `${i}: ${x} * ${w} ${JSON.stringify(attributes)}`,
      [x, w, attributes],
      { [variant]: variants[variant], chosen: undefined },
    )
  }
  assert.ok(checked > 75, `${checked} of 150 shapes can be`)
  gpu.close()
})

test.run()
