import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { elementwiseCall } from '../../src/gpu/elementwise.ts'
import { GpuValidationError } from '../../src/gpu/errors.ts'
import { kernels, shaderSources } from '../../src/gpu/generated/kernels.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { foldWorkgroups } from '../../src/gpu/workgroups.ts'
import { thrown } from '../thrown.ts'

const gpu = await openGpu()
test.after(() => gpu.close())

function fill(on: Gpu, y: GpuArray<'f32'>, value: number, lanes = on.profile.lanes): void {
  const call = elementwiseCall(on, y, { value })
  on.dispatch(kernels.elementwise_fill, { ...call, constants: { LANES: lanes }, buffers: { y } })
}

/** A kernel with the bindings of elementwise_fill and another text. */
function kernelOf(name: string, text: string): typeof kernels.elementwise_fill {
  const sources = shaderSources as Record<string, string>
  sources[`test/${name}.wesl`] = text
  return { ...kernels.elementwise_fill, source: `test/${name}.wesl` } as never
}

async function checkThatItWorks(): Promise<void> {
  const y = gpu.empty('f32', [5])
  fill(gpu, y, 3)
  assert.equal(await gpu.read(y), new Float32Array(5).fill(3))
  y.release()
}

test('more workgroups than a dimension holds are folded over two', () => {
  assert.equal(foldWorkgroups(0), [1, 1, 1])
  assert.equal(foldWorkgroups(65_535), [65_535, 1, 1])
  for (const count of [65_536, 131_070, 131_071, 1_000_003, 65_535 ** 2]) {
    const [x, y, z] = foldWorkgroups(count)
    assert.ok(x <= 65_535 && y <= 65_535 && z === 1, `${count}: [${x}, ${y}, ${z}]`)
    assert.ok(x * y >= count && x * y < count + y, `${count}: [${x}, ${y}, ${z}]`)
  }
})

test('an elementwise kernel reaches every element with more than 65,535 workgroups', async () => {
  const { lanes } = gpu.profile
  const items = 65_536 * lanes + 3
  const y = gpu.zeros('f32', [items * 4 - 1])
  gpu.dispatch(kernels.elementwise_fill, {
    constants: { LANES: lanes },
    params: { value: 3, items, itemsPerLane: 1 },
    workgroups: foldWorkgroups(Math.ceil(items / lanes)),
    buffers: { y },
  })
  const wrong = (await gpu.read(y)).findIndex((value) => value !== 3)
  assert.is(wrong, -1)
  y.release()
})

test('workgroups out of range are refused with the kernel named, and nothing is dispatched', async () => {
  const y = gpu.zeros('f32', [64])
  await gpu.flush()
  const { maxComputeWorkgroupsPerDimension: limit } = gpu.device.limits
  const wrong = [
    [limit + 1, 1, 1],
    [1, limit + 1, 1],
    [1, 1, limit + 1],
    [0, 1, 1],
    [1.5, 1, 1],
  ] as const
  for (const workgroups of wrong) {
    const call = { ...elementwiseCall(gpu, y, { value: 3 }), buffers: { y }, workgroups }
    const error = await thrown(() => gpu.dispatch(kernels.elementwise_fill, call))
    assert.instance(error, GpuValidationError)
    assert.match(error.message, 'kernel elementwise_fill(')
    assert.match(error.message, `[${workgroups}] are outside 1..${limit}`)
  }
  assert.equal(await gpu.read(y), new Float32Array(64))
  y.release()
})

test('a uniform that its type can not hold is refused with kernel and field named', async () => {
  const y = gpu.empty('f32', [64])
  for (const items of [-1, 1.5, 2 ** 32, Number.NaN, undefined as unknown as number]) {
    const call = elementwiseCall(gpu, y, { value: 3 })
    const params = { ...call.params, items }
    const error = await thrown(() =>
      gpu.dispatch(kernels.elementwise_fill, { ...call, params, buffers: { y } }),
    )
    assert.instance(error, GpuValidationError)
    assert.match(error.message, /^kernel elementwise_fill\(.*: items is .*, expected a u32$/)
  }
  y.release()
})

test('an array that a kernel writes may not share a buffer with another', async () => {
  const y = gpu.zeros('f32', [64])
  const call = { ...elementwiseCall(gpu, y, {}), buffers: { x: y, y } }
  const error = await thrown(() => gpu.dispatch(kernels.elementwise_accumulate, call))
  assert.instance(error, GpuValidationError)
  assert.match(error.message, /^kernel elementwise_accumulate\(.*: x and y share a buffer/)
  y.release()
  await gpu.idle()
})

test('a shader with an error is refused with the kernel named and what the compiler says', async () => {
  const y = gpu.empty('f32', [5])
  const broken = kernelOf(
    'broken',
    `struct Params { items: u32, itemsPerLane: u32, value: f32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
    @compute @workgroup_size(8) fn main() { y[0] = vec4f(params.value) * mat2x2f(); }`,
  )
  const call = { ...elementwiseCall(gpu, y, { value: 3 }), buffers: { y } }
  gpu.dispatch(broken, call)
  const error = await thrown(() => gpu.idle())
  assert.instance(error, GpuValidationError)
  assert.match(error.message, /^kernel test_broken\(.* does not compile: /)
  assert.match(error.message, "no matching overload for 'operator * (vec4<f32>, mat2x2<f32>)'")
  await checkThatItWorks()
  gpu.dispatch(broken, call)
  const again = await thrown(() => gpu.read(y))
  assert.is(again.message, error.message, 'the second time')
  const recorded = await thrown(() => gpu.record(() => gpu.dispatch(broken, call)))
  assert.is(recorded.message, error.message, 'in record')
  await checkThatItWorks()
  y.release()
})

test('a shader that imports what is not there is refused with the kernel named', async () => {
  const y = gpu.empty('f32', [5])
  gpu.dispatch(kernelOf('unlinked', 'import package::lib::nothing::f;\nfn main() { f(); }'), {
    ...elementwiseCall(gpu, y, { value: 3 }),
    buffers: { y },
  })
  const error = await thrown(() => gpu.idle())
  assert.instance(error, GpuValidationError)
  assert.match(error.message, /^kernel test_unlinked\(.* does not link: /)
  await checkThatItWorks()
  y.release()
})

test('a workgroup larger than the device allows is refused with the kernel named', async () => {
  const y = gpu.empty('f32', [5])
  fill(gpu, y, 3, 2 ** 20)
  const error = await thrown(() => gpu.idle())
  assert.instance(error, GpuValidationError)
  assert.match(error.message, /^kernel elementwise_fill\(LANES=1048576\) does not compile: /)
  await checkThatItWorks()
  y.release()
})

test('what the device refuses when commands run is thrown by the call that waits, once', async () => {
  const y = gpu.empty('f32', [54321], 'gone')
  y.storage.resource.destroy()
  for (const wait of [() => gpu.idle(), () => gpu.read(y)]) {
    fill(gpu, y, 3)
    const error = await thrown(wait)
    assert.instance(error, GpuValidationError)
    assert.match(error.message, 'Buffer "gone"')
    await checkThatItWorks()
  }
})

test('each specialisation is compiled once, and told of while it is', async () => {
  const told: string[] = []
  const fresh = await openGpu({ onCompile: (done, total) => told.push(`${done}/${total}`) })
  const y = fresh.empty('f32', [64])
  for (const lanes of [8, 16, 8]) fill(fresh, y, 3, lanes)
  await fresh.idle()
  assert.is(fresh.memory().pipelines, 2)
  assert.equal(told, ['1/2', '2/2'])
  fill(fresh, y, 4, 16)
  assert.equal(await fresh.read(y), new Float32Array(64).fill(4))
  assert.is(fresh.memory().pipelines, 2)
  assert.is(told.length, 2)
  fresh.close()
})

test.run()
