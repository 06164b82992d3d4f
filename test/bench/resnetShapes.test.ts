import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { resnetConvolutions, stageOutputs } from '../../src/bench/resnetShapes.ts'

test("ResNet-50's distinct convolutions at 224x224", () => {
  const found = resnetConvolutions({ batch: 1, size: 224, width: 1 })
  const key = (inSize: number, i: number, o: number, kernel: number, stride: number) =>
    [inSize, i, o, kernel, stride].join()
  const keys = new Set(found.map((c) => Object.values(c).join()))
  assert.is(keys.size, found.length, 'each once')
  // torchvision's resnet50: 53 convolutions, of which these are the distinct ones.
  assert.equal(
    keys,
    new Set([
      key(224, 3, 64, 7, 2),
      key(56, 64, 64, 1, 1),
      key(56, 64, 64, 3, 1),
      key(56, 64, 256, 1, 1),
      key(56, 256, 64, 1, 1),
      key(56, 256, 128, 1, 1),
      key(56, 128, 128, 3, 2),
      key(28, 128, 512, 1, 1),
      key(56, 256, 512, 1, 2),
      key(28, 512, 128, 1, 1),
      key(28, 128, 128, 3, 1),
      key(28, 512, 256, 1, 1),
      key(28, 256, 256, 3, 2),
      key(14, 256, 1024, 1, 1),
      key(28, 512, 1024, 1, 2),
      key(14, 1024, 256, 1, 1),
      key(14, 256, 256, 3, 1),
      key(14, 1024, 512, 1, 1),
      key(14, 512, 512, 3, 2),
      key(7, 512, 2048, 1, 1),
      key(14, 1024, 2048, 1, 2),
      key(7, 2048, 512, 1, 1),
      key(7, 512, 512, 3, 1),
    ]),
  )
  assert.equal(
    stageOutputs({ batch: 1, size: 224, width: 1 }).map(({ size, channels }) => [size, channels]),
    [
      [56, 256],
      [28, 512],
      [14, 1024],
      [7, 2048],
    ],
  )
})

test.run()
