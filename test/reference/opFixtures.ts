import path from 'node:path'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import { hashBits, hashValues } from '../../src/selfTest/reference/compare.ts'
import { zeros } from '../../src/selfTest/reference/hostTensor.ts'

/** A case of test/fixtures/ops: an op on hashed inputs and what PyTorch computed in float64. */
export interface OpFixture {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly inputs: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>
  /** By name: y or loss, dx, dweight, ... */
  readonly results: Readonly<Record<string, ArrayLike<number>>>
}

/** An input as the fixture describes it, see reference/README.md. */
interface InputSpec {
  readonly shape: readonly number[]
  readonly seed: number
  readonly scale?: number
  readonly levels?: number
  readonly offset?: number
}

function makeInput({ shape, seed, scale = 1, levels, offset = 0 }: InputSpec) {
  const { length } = zeros(shape)
  const data = levels
    ? Float32Array.from({ length }, (_, i) => {
        return Math.floor((hashBits(i, seed) * levels) / 2 ** 32) + offset
      })
    : hashValues(length, seed).map((v) => Math.fround(offset) + Math.fround(v * Math.fround(scale)))
  return { shape, data }
}

/** Reads the cases of one op. */
export async function readOpFixtures(op: string): Promise<OpFixture[]> {
  const file = path.join(packageRoot(), 'test/fixtures/ops', `${op}.safetensors`)
  const { tensors, metadata } = await readSafetensors(file)
  const cases = JSON.parse(metadata.cases!) as {
    name: string
    attributes: Record<string, unknown>
    inputs: Record<string, InputSpec>
  }[]
  return cases.map(({ name, attributes, inputs }) => ({
    name,
    attributes,
    inputs: Object.fromEntries(Object.entries(inputs).map(([k, spec]) => [k, makeInput(spec)])),
    results: Object.fromEntries(
      [...tensors]
        .filter(([key]) => key.startsWith(`${name}/`))
        .map(([key, { data }]) => [key.slice(name.length + 1), Array.from(data, Number)]),
    ),
  }))
}
