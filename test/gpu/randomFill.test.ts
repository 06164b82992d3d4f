import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GpuValidationError } from '../../src/gpu/errors.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { fillUniform } from '../../src/gpu/randomFill.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import { thrown } from '../thrown.ts'

const gpu = await openGpu()
test.after(() => gpu.close())

test('uniform draws on the device are those of the host, bit for bit', async () => {
  const draws = [
    { seed: 0, stream: streams.synthetic },
    { seed: 1, stream: streams.dropout, step: 0xffffffff },
    { seed: 0xffffffff, stream: 0xffffffff, step: 1 },
    { seed: Number.MAX_SAFE_INTEGER, stream: streams.augment, step: 123_456 },
  ]
  for (const { seed, stream, step } of draws)
    for (const length of [1, 2, 3, 4, 5, 1023, 20_001]) {
      const array = gpu.empty('f32', [length])
      fillUniform(gpu, array, { seed, stream, step })
      const host = new RandomStream(seed, stream, step)
      const expected = Float32Array.from({ length }, (_, i) => host.uniform(i))
      const found = await gpu.read(array)
      const wrong = found.findIndex((value, i) => value !== expected[i])
      assert.is(wrong, -1, `seed ${seed}, stream ${stream}, step ${step}, ${length} values`)
      array.release()
    }
})

test('a seed, stream or step out of range is refused', async () => {
  const array = gpu.empty('f32', [4])
  const fill = (seed: number, stream: number, step: number) =>
    thrown(() => fillUniform(gpu, array, { seed, stream, step }))
  assert.match((await fill(-1, 0, 0)).message, 'seed is -1')
  for (const wrong of [-1, 2 ** 32, 0.5]) {
    const [stream, step] = [await fill(0, wrong, 0), await fill(0, 0, wrong)]
    for (const error of [stream, step]) assert.instance(error, GpuValidationError)
    assert.match(stream.message, `stream is ${wrong}`)
    assert.match(step.message, `step is ${wrong}`)
  }
  array.release()
})

test.run()
