import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { profileProgram, timeProgram } from '../../src/gpu/deviceTime.ts'
import { elementwiseCall } from '../../src/gpu/elementwise.ts'
import { kernels } from '../../src/gpu/generated/kernels.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'

const gpu = await openGpu()
test.after(() => gpu.close())

async function recordSums(length: number, repeats: number) {
  const x = gpu.upload('f32', [length], new Float32Array(length).fill(1))
  const sum = gpu.zeros('f32', [length])
  const { program } = await gpu.record(() => {
    for (let i = 0; i < repeats; i++)
      gpu.dispatch(kernels.elementwise_accumulate, {
        ...elementwiseCall(gpu, sum, {}),
        buffers: { x, y: sum },
      })
    gpu.copy(gpu.zeros('f32', [4]), gpu.empty('f32', [4]))
    gpu.dispatch(kernels.elementwise_fill, {
      ...elementwiseCall(gpu, x, { value: 1 }),
      buffers: { y: x },
    })
  })
  return { program, sum }
}

test('timing runs the program as often as it says, and takes longer for more work', async () => {
  const { program, sum } = await recordSums(2 ** 20, 4)
  const few = await timeProgram(gpu, program, 3)
  assert.is((await gpu.read(sum))[7], 12)
  assert.ok(few > 0)
  const empty = await recordSums(4, 1)
  await timeProgram(gpu, empty.program)
  // A thousand times the work a run: no preemption makes up for that in the best of five.
  const small: number[] = []
  for (let i = 0; i < 5; i++) small.push(await timeProgram(gpu, empty.program, 10))
  assert.ok(Math.min(...small) < few, `${small} against ${few}`)
})

test('a profile names the kernel of each dispatch in order, over more than one query set', async () => {
  const { program, sum } = await recordSums(64, 2100)
  const times = await profileProgram(gpu, program)
  if (!gpu.device.features.has('timestamp-query')) assert.is(times, undefined)
  else {
    assert.is(times!.length, 2101)
    assert.is(times![0]!.kernel, 'elementwise_accumulate')
    assert.is(times!.at(-1)!.kernel, 'elementwise_fill')
    assert.ok(times!.every(({ ms }) => ms >= 0))
  }
  assert.is((await gpu.read(sum))[0], times ? 2100 : 0, 'one run')
})

test.run()
