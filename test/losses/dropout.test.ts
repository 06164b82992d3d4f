import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { dropout } from '../../src/losses/dropout.ts'
import { instantiate } from '../../src/losses/objective.ts'
import { objectiveNamed } from '../../src/losses/registry.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'

interface Draw {
  readonly seed?: number
  readonly step?: number
  readonly first?: number
}

/** What dropout makes of ones [n, m]. */
async function drop(
  gpu: Gpu,
  [n, m]: readonly [number, number],
  keep: number,
  { seed = 1, step = 0, first = 0 }: Draw = {},
): Promise<Float32Array> {
  const x = new Tensor(gpu.upload('f32', [n, m], new Float32Array(n * m).fill(1)))
  const draw = gpu.upload('u32', [2], Uint32Array.of(step, first))
  const tape = new Tape(gpu, false)
  const y = await gpu.read(dropout(tape, { x }, { keep, seed, draw }).value)
  tape.dispose()
  x.value.release()
  draw.release()
  return y
}

test('the share kept is keep within three standard deviations over a million draws', async () => {
  const gpu = await openGpu()
  const n = 1000
  for (const m of [1000, 1001])
    for (const keep of [0.5, 0.7, 0.95]) {
      const y = await drop(gpu, [n, m], keep)
      const kept = y.reduce((count, v) => count + (v === 0 ? 0 : 1), 0)
      const deviation = Math.sqrt(n * m * keep * (1 - keep))
      assert.ok(Math.abs(kept - n * m * keep) < 3 * deviation, `keep ${keep}: ${kept} kept`)
      const value = Math.fround(1 / keep)
      assert.ok(y.every((v) => v === 0 || v === value))
    }
  gpu.close()
})

test('the mask is the host generator, bit for bit', async () => {
  const gpu = await openGpu()
  for (const m of [12, 7]) {
    const y = await drop(gpu, [9, m], 0.7, { seed: 2 ** 40 + 3, step: 17, first: 5 })
    const stream = new RandomStream(2 ** 40 + 3, streams.dropout, 17)
    const threshold = Math.round(0.7 * 2 ** 24) / 2 ** 24
    for (const [i, v] of y.entries())
      assert.is(v !== 0, stream.uniform(5 * m + i) < threshold, `M ${m}, element ${i}`)
  }
  gpu.close()
})

test('the mask repeats, changes with seed and step, and does not depend on the split of a batch', async () => {
  const gpu = await openGpu()
  for (const m of [16, 5]) {
    const whole = await drop(gpu, [12, m], 0.6, { step: 3 })
    assert.equal(await drop(gpu, [12, m], 0.6, { step: 3 }), whole)
    const parts = [
      await drop(gpu, [5, m], 0.6, { step: 3 }),
      await drop(gpu, [7, m], 0.6, { step: 3, first: 5 }),
    ]
    assert.equal(Float32Array.from(parts.flatMap((part) => [...part])), whole)
    assert.not.equal(await drop(gpu, [12, m], 0.6, { step: 4 }), whole)
    assert.not.equal(await drop(gpu, [12, m], 0.6, { step: 3, seed: 2 }), whole)
  }
  gpu.close()
})

test('keep 1 changes nothing, and the scores of evaluation are without dropout', async () => {
  const gpu = await openGpu()
  assert.equal(await drop(gpu, [3, 8], 1), new Float32Array(24).fill(1))
  const objective = instantiate(objectiveNamed('dropout'), 4)
  const plain = instantiate(objectiveNamed('softmax'), 4)
  const x = new Tensor(
    gpu.upload(
      'f32',
      [2, 8],
      Float32Array.from({ length: 16 }, (_, i) => i),
    ),
  )
  const layer = {
    weight: new Tensor(gpu.upload('f32', [8, 4], new Float32Array(32).fill(0.5))),
    bias: new Tensor(gpu.zeros('f32', [4])),
  }
  const tape = new Tape(gpu, false)
  const scores = await gpu.read(objective.logits(tape, x, layer).value)
  assert.equal(scores, await gpu.read(plain.logits(tape, x, layer).value))
  gpu.close()
})

test('a replayed program draws anew as the step in its array changes', async () => {
  const gpu = await openGpu()
  const x = new Tensor(gpu.upload('f32', [8, 16], new Float32Array(128).fill(1)))
  const draw = gpu.zeros('u32', [2])
  const { program, result } = await gpu.record(() => {
    const tape = new Tape(gpu, false)
    return dropout(tape, { x }, { keep: 0.5, seed: 9, draw }).value
  })
  const masks: Float32Array[] = []
  for (const step of [0, 1, 0]) {
    gpu.write(draw, Uint32Array.of(step, 0))
    await gpu.flush()
    program.run()
    masks.push(await gpu.read(result))
  }
  assert.equal(masks[2], masks[0])
  assert.not.equal(masks[1], masks[0])
  gpu.close()
})

test.run()
