import { type Dtype, dtypeSize, dtypes } from './safetensorsDtype.ts'

/** One tensor of a header. */
export interface TensorEntry {
  name: string
  dtype: Dtype
  shape: readonly number[]
  /** Byte range in the data that follows the header. */
  begin: number
  end: number
}

const METADATA = '__metadata__'
/** The data begins at a multiple of this, so every element is aligned in the file. */
const ALIGNMENT = 8

/** The JSON header as bytes, padded with spaces. */
export function encodeHeader(
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const fields: [string, unknown][] = entries.map(({ name, dtype, shape, begin, end }) => [
    name,
    { dtype, shape, data_offsets: [begin, end] },
  ])
  if (Object.keys(metadata).length > 0) fields.unshift([METADATA, metadata])
  // Joined by hand: an object would put names like '0' first and mistake '__proto__'.
  const json = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
  const bytes = new TextEncoder().encode(`{${json.join(',')}}`)
  const padded = new Uint8Array(Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT).fill(0x20)
  padded.set(bytes)
  return padded
}

/**
 * Reads and checks a header.
 *
 * @param path what errors name.
 * @param bytes the header.
 * @param dataLength number of bytes that follow it.
 * @returns the tensors by offset.
 * @throws Error naming the file, and the tensor where one is at fault.
 */
export function parseHeader(
  path: string,
  bytes: Uint8Array,
  dataLength: number,
): { entries: TensorEntry[]; metadata: Record<string, string> } {
  const fields = parseJson(path, bytes)
  const metadata = checkMetadata(path, fields.get(METADATA))
  fields.delete(METADATA)
  const entries = [...fields].map(([name, value]) => checkEntry(path, name, value, dataLength))
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkCoverage(path, entries, dataLength)
  return { entries, metadata }
}

function parseJson(path: string, bytes: Uint8Array): Map<string, unknown> {
  if (bytes[0] !== 0x7b) {
    throw new Error(`${path} has a header that does not begin with '{': no .safetensors file`)
  }
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (error) {
    throw new Error(`${path} has a header that is not JSON: ${(error as Error).message}`, {
      cause: error,
    })
  }
  const duplicate = duplicateKey(text)
  if (duplicate !== undefined) {
    throw new Error(`${path} has the key '${duplicate}' twice in its header`)
  }
  return new Map(Object.entries(value as object))
}

/** The first key that stands twice in one object of a valid JSON text: JSON.parse keeps the last. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = []
  for (let i = 0; i < json.length; i++) {
    if (json[i] === '{') open.push(new Set())
    else if (json[i] === '}') open.pop()
    else if (json[i] === '"') {
      const start = i
      // A loop, not a pattern: a regular expression overflows its stack on a long string.
      for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++
      if (!isFollowedByColon(json, i + 1)) continue
      const key: string = JSON.parse(json.slice(start, i + 1))
      const keys = open.at(-1)!
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return undefined
}

function isFollowedByColon(json: string, start: number): boolean {
  let i = start
  while (' \t\r\n'.includes(json[i] ?? '-')) i++
  return json[i] === ':'
}

function checkMetadata(path: string, value: unknown): Record<string, string> {
  if (value === undefined) return {}
  if (!isObject(value)) throw new Error(`${path} has a ${METADATA} that is no object of strings`)
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') {
      throw new Error(`${path} has ${METADATA} '${key}' = ${JSON.stringify(entry)}, expected text`)
    }
  }
  return value as Record<string, string>
}

function checkEntry(path: string, name: string, value: unknown, dataLength: number): TensorEntry {
  const where = `${path}: tensor '${name}'`
  if (!isObject(value)) throw new Error(`${where} is ${JSON.stringify(value)}, expected an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (!isDtype(dtype)) {
    throw new Error(
      `${where} has dtype ${JSON.stringify(dtype)}, expected one of ${dtypes.join(', ')}`,
    )
  }
  if (!isSizes(shape)) {
    throw new Error(
      `${where} has shape ${JSON.stringify(shape)}, expected a list of integers from 0`,
    )
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw new Error(
      `${where} has data_offsets ${JSON.stringify(offsets)}, expected [begin, end] with begin <= end`,
    )
  }
  const [begin, end] = offsets as [number, number]
  if (end > dataLength) {
    throw new Error(
      `${where} ends at byte ${end} of the data, but the file has ${dataLength}: ` +
        'it is truncated or its header is wrong',
    )
  }
  const expected = shape.reduce((product, extent) => product * extent, dtypeSize(dtype))
  if (end - begin !== expected) {
    throw new Error(
      `${where} has ${end - begin} bytes, expected ${expected} for ${dtype} [${shape.join(', ')}]`,
    )
  }
  return { name, dtype, shape, begin, end }
}

/** The format allows neither overlap nor gap nor surplus: the tensors tile the data. */
function checkCoverage(path: string, entries: readonly TensorEntry[], dataLength: number): void {
  let end = 0
  let previous = ''
  for (const entry of entries) {
    if (entry.begin < end) {
      throw new Error(`${path}: tensor '${entry.name}' overlaps tensor '${previous}'`)
    }
    if (entry.begin > end) {
      throw new Error(
        `${path}: bytes ${end} to ${entry.begin} of the data, before tensor '${entry.name}', ` +
          'belong to no tensor',
      )
    }
    end = entry.end
    previous = entry.name
  }
  if (end !== dataLength) {
    throw new Error(`${path} has ${dataLength - end} bytes past its last tensor`)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isDtype(value: unknown): value is Dtype {
  return (dtypes as unknown[]).includes(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}
