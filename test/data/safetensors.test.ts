import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type NamedTensor, readSafetensors, writeSafetensors } from '../../src/data/safetensors.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const folder = temporaryFolder()
let written = 0

function file(): string {
  return join(folder, `${written++}.safetensors`)
}

/** A file of a header as text and of data; `length` overrides the header's length field. */
function raw(header: string, data: Uint8Array = new Uint8Array(0), length?: bigint): string {
  const path = file()
  const bytes = Buffer.from(header)
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(length ?? BigInt(bytes.length))
  fs.writeFileSync(path, Buffer.concat([prefix, bytes, data]))
  return path
}

function entry(dtype: string, shape: unknown, offsets: unknown): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets })
}

async function fails(path: string, message: string): Promise<void> {
  assert.is(await rejection(readSafetensors(path)), `${path}${message}`)
}

const SAMPLES: Record<string, NamedTensor> = {
  'layer1.0.bn1.num_batches_tracked': { shape: [], data: BigInt64Array.of(2n ** 60n + 1n) },
  'fc.weight': { shape: [2, 3], data: Float32Array.of(1, -2.5, 3, Number.NaN, -0, 1e-40) },
  f64: { shape: [1], data: Float64Array.of(Math.PI) },
  i32: { shape: [2], data: Int32Array.of(-1, 2 ** 31 - 1) },
  u32: { shape: [1, 1, 2], data: Uint32Array.of(2 ** 32 - 1, 0) },
  u8: { shape: [3], data: Uint8Array.of(0, 128, 255) },
  nothing: { shape: [0, 4], data: new Float32Array(0) },
  '0': { shape: [1], data: Float32Array.of(10) },
  __proto__2: { shape: [1], data: Float32Array.of(11) },
  'quote " \\ newline \n ü': { shape: [1], data: Uint8Array.of(1) },
}

test('round trip: every dtype, scalar and empty shapes, odd names, metadata', async () => {
  const path = file()
  const tensors = new Map([
    ...Object.entries(SAMPLES),
    ['__proto__', { shape: [1], data: Uint8Array.of(42) }] as const,
  ])
  const metadata = { format: 'gramgrad', note: 'any "text"\n' }
  await writeSafetensors(path, tensors, metadata)
  const back = await readSafetensors(path)
  assert.equal(back.metadata, metadata)
  assert.equal([...back.tensors.keys()].sort(), [...tensors.keys()].sort())
  for (const [name, { shape, data }] of tensors) {
    const got = back.tensors.get(name)!
    assert.equal(got.shape, shape, name)
    assert.is(got.data.constructor, data.constructor, name)
    assert.equal(
      new Uint8Array(got.data.buffer),
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      name,
    )
  }
})

test('layout: padded header, falling element size, then by name; the same bytes again', async () => {
  const [a, b] = [file(), file()]
  await writeSafetensors(a, new Map(Object.entries(SAMPLES)))
  await writeSafetensors(b, new Map(Object.entries(SAMPLES).reverse()))
  const bytes = fs.readFileSync(a)
  assert.ok(bytes.equals(fs.readFileSync(b)))
  assert.is(Number(bytes.readBigUInt64LE()) % 8, 0)
  const names = [...(await readSafetensors(a)).tensors.keys()]
  assert.equal(names.slice(0, 3), ['f64', 'layer1.0.bn1.num_batches_tracked', '0'])
  assert.is(names.at(-1), 'u8')
})

test('the bytes of a known file', async () => {
  const path = file()
  await writeSafetensors(path, new Map([['x', { shape: [1], data: Float32Array.of(1) }]]))
  const header = '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
  const expected = [56, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from(header.padEnd(56)), 0, 0, 0x80, 0x3f]
  assert.equal([...fs.readFileSync(path)], expected)
})

test('a view into a larger buffer is written as the view', async () => {
  const path = file()
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3)
  await writeSafetensors(path, new Map([['x', { shape: [2], data }]]))
  assert.equal([...(await readSafetensors(path)).tensors.get('x')!.data], [2, 3])
})

test('no tensors at all', async () => {
  const path = file()
  await writeSafetensors(path, new Map())
  const back = await readSafetensors(path)
  assert.is(back.tensors.size, 0)
  assert.equal(back.metadata, {})
  assert.is((await readSafetensors(raw('{}'))).tensors.size, 0)
})

test("reads other writers' files: unaligned data, any order, white space", async () => {
  const header = ` { "b": ${entry('F32', [1], [1, 5])},\n\t"a": ${entry('U8', [1], [0, 1])} }  `
  const path = raw(header.trimStart(), Uint8Array.of(9, 0, 0, 0x80, 0x3f))
  const { tensors } = await readSafetensors(path)
  assert.equal([...tensors.keys()], ['a', 'b'])
  assert.equal([...tensors.get('b')!.data], [1])
})

test('truncated files', async () => {
  const path = file()
  await writeSafetensors(path, new Map(Object.entries(SAMPLES)))
  const bytes = fs.readFileSync(path)
  const cut = (length: number) => {
    const shorter = file()
    fs.writeFileSync(shorter, bytes.subarray(0, length))
    return shorter
  }
  await fails(cut(0), " is truncated: 0 bytes, expected 8 for the header's length")
  await fails(cut(7), " is truncated: 7 bytes, expected 8 for the header's length")
  const header = 8 + Number(bytes.readBigUInt64LE())
  await fails(cut(100), ` is truncated: 100 bytes, expected a header up to ${header}`)
  const data = bytes.length - header
  await fails(
    cut(bytes.length - 1),
    `: tensor 'u8' ends at byte ${data} of the data, but the file has ${data - 1}: ` +
      'it is truncated or its header is wrong',
  )
})

test('bytes past the end, gaps and overlaps', async () => {
  const one = `{"x":${entry('U8', [2], [0, 2])}}`
  await fails(raw(one, new Uint8Array(5)), ' has 3 bytes past its last tensor')
  await fails(
    raw(`{"x":${entry('U8', [2], [1, 3])}}`, new Uint8Array(3)),
    ": bytes 0 to 1 of the data, before tensor 'x', belong to no tensor",
  )
  const pair = (offsets: number[]) =>
    `{"x":${entry('U8', [2], [0, 2])},"y":${entry('U8', [2], offsets)}}`
  await fails(raw(pair([1, 3]), new Uint8Array(3)), ": tensor 'y' overlaps tensor 'x'")
  await fails(raw(pair([0, 2]), new Uint8Array(2)), ": tensor 'y' overlaps tensor 'x'")
  await fails(
    raw(pair([3, 5]), new Uint8Array(5)),
    ": bytes 2 to 3 of the data, before tensor 'y', belong to no tensor",
  )
})

test('headers that are none', async () => {
  await fails(
    raw('', new Uint8Array(0), 2n ** 63n),
    ' has a header length of 9223372036854776000, expected at most 10^8: no .safetensors file',
  )
  const noBrace = " has a header that does not begin with '{': no .safetensors file"
  await fails(raw(''), noBrace)
  await fails(raw('[]'), noBrace)
  const png = file()
  fs.writeFileSync(png, Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')]))
  assert.match(await rejection(readSafetensors(png)), `${png} has a header length of `)
  const notJson = raw('{"x":')
  assert.match(
    await rejection(readSafetensors(notJson)),
    `${notJson} has a header that is not JSON: `,
  )
  const notUtf8 = file()
  fs.writeFileSync(notUtf8, Buffer.from([4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x7d]))
  assert.match(
    await rejection(readSafetensors(notUtf8)),
    `${notUtf8} has a header that is not JSON: `,
  )
})

test('duplicate keys, also when escaped, also inside an entry', async () => {
  const x = entry('U8', [0], [0, 0])
  await fails(raw(`{"x":${x},"x":${x}}`), " has the key 'x' twice in its header")
  await fails(raw(`{"x":${x},"\\u0078" :${x}}`), " has the key 'x' twice in its header")
  await fails(
    raw('{"x":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}}'),
    " has the key 'shape' twice in its header",
  )
  await fails(raw('{"__metadata__":{"a":"1","a":"2"}}'), " has the key 'a' twice in its header")
  // The same name at two levels, and text that looks like a key, are no duplicates.
  const tricky = `{"shape":${x},"__metadata__":{"shape":"\\"shape\\":{","q":"\\\\"}}`
  assert.is((await readSafetensors(raw(tricky))).metadata.shape, '"shape":{')
})

test('a string of ten million characters in the header', async () => {
  const metadata = { long: 'a\n'.repeat(5_000_000) }
  const path = file()
  await writeSafetensors(path, new Map(), metadata)
  assert.is((await readSafetensors(path)).metadata.long, metadata.long)
})

test('entries that make no sense name the tensor', async () => {
  const bytes = new Uint8Array(8)
  await fails(raw('{"x":3}'), ": tensor 'x' is 3, expected an object")
  await fails(
    raw(`{"x":${entry('BF16', [4], [0, 8])}}`, bytes),
    `: tensor 'x' has dtype "BF16", expected one of F64, I64, F32, I32, U32, U8`,
  )
  await fails(
    raw('{"x":{"shape":[1],"data_offsets":[0,4]}}', bytes),
    ": tensor 'x' has dtype undefined, expected one of F64, I64, F32, I32, U32, U8",
  )
  for (const shape of [[-2], [1.5], 'two', null, [2 ** 53]]) {
    await fails(
      raw(`{"x":${entry('F32', shape, [0, 8])}}`, bytes),
      `: tensor 'x' has shape ${JSON.stringify(shape)}, expected a list of integers from 0`,
    )
  }
  for (const offsets of [[8, 0], [0], [0, 4, 8], [-8, 0], ['0', '8'], null]) {
    await fails(
      raw(`{"x":${entry('F32', [2], offsets)}}`, bytes),
      `: tensor 'x' has data_offsets ${JSON.stringify(offsets)}, ` +
        'expected [begin, end] with begin <= end',
    )
  }
  await fails(
    raw(`{"x":${entry('F32', [3], [0, 8])}}`, bytes),
    ": tensor 'x' has 8 bytes, expected 12 for F32 [3]",
  )
  const huge = [2 ** 40, 2 ** 40]
  await fails(
    raw(`{"x":${entry('F32', huge, [0, 8])}}`, bytes),
    `: tensor 'x' has 8 bytes, expected ${4 * 2 ** 80} for F32 [${huge.join(', ')}]`,
  )
})

test('metadata must be strings', async () => {
  await fails(raw('{"__metadata__":[1]}'), ' has a __metadata__ that is no object of strings')
  await fails(raw('{"__metadata__":{"n":1}}'), " has __metadata__ 'n' = 1, expected text")
  const path = file()
  const metadata = { epoch: 3 } as unknown as Record<string, string>
  assert.is(
    await rejection(writeSafetensors(path, new Map(), metadata)),
    `${path}: metadata 'epoch' is a number, expected a string`,
  )
})

test('the writer refuses what it could not read back, and writes nothing', async () => {
  const path = file()
  const refuse = async (name: string, tensor: NamedTensor, message: string) => {
    const promise = writeSafetensors(path, new Map([[name, tensor]]))
    assert.is(await rejection(promise), `${path}: ${message}`)
  }
  const data = Float32Array.of(1, 2)
  await refuse('x', { shape: [3], data }, "tensor 'x' has 2 elements, expected those of shape [3]")
  await refuse(
    'x',
    { shape: [-1, -2], data },
    "tensor 'x' has 2 elements, expected those of shape [-1, -2]",
  )
  await refuse(
    '__metadata__',
    { shape: [2], data },
    "a tensor is named '__metadata__', which the format reserves",
  )
  const halves = Int16Array.of(1, 2) as unknown as Float32Array
  await refuse('x', { shape: [2], data: halves }, "tensor 'x' is a Int16Array, which has no dtype")
  assert.not(fs.existsSync(path))
})

test('files that cannot be opened or written', async () => {
  const missing = join(folder, 'missing.safetensors')
  await fails(missing, ' cannot be read: it does not exist')
  await fails(folder, ' cannot be read: it is a folder, expected a file')
  const nowhere = join(folder, 'no', 'x.safetensors')
  assert.is(
    await rejection(writeSafetensors(nowhere, new Map())),
    `${nowhere} cannot be written: the folder ${join(folder, 'no')} does not exist`,
  )
})

test('a failed write keeps the file that was there', async () => {
  const path = file()
  const good = new Map([['x', { shape: [1], data: Float32Array.of(5) }]])
  await writeSafetensors(path, good)
  const bad = new Map([['x', { shape: [2], data: Float32Array.of(5) }]])
  await rejection(writeSafetensors(path, bad))
  assert.equal([...(await readSafetensors(path)).tensors.get('x')!.data], [5])
})

test.run()
