import path from 'node:path'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { type ResNet, resnet50 } from '../../src/nn/resnet.ts'

/** f32 values made from a hash of the index, as reference/README.md defines them. */
export function hashTensor(count: number, seed: number, scale: number, offset = 0): Float32Array {
  const base = Math.imul(seed, 40503) + 12345
  return Float32Array.from({ length: count }, (_, i) => {
    let u = (Math.imul(i, 2654435761) + base) >>> 0
    u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
    u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
    u = (u ^ (u >>> 16)) >>> 0
    const value = Math.fround(Math.fround(u / 2 ** 32 - 0.5) * Math.fround(scale))
    return Math.fround(offset) + value
  })
}

/** Tensors of one parity fixture, by name. */
export async function fixture(width: 'sixteenth' | 'quarter', name: string) {
  const file = path.join(packageRoot(), `test/fixtures/parity/${width}/${name}.safetensors`)
  const { tensors } = await readSafetensors(file)
  return new Map([...tensors].map(([key, { data }]) => [key, data as Float32Array]))
}

/** The elements of a tensor that a `quarter` fixture holds. */
export function sampled(values: Float32Array, width: 'sixteenth' | 'quarter'): Float32Array {
  if (width === 'sixteenth') return values
  let stride = Math.ceil(values.length / 512)
  if (stride > 1 && stride % 2 === 0) stride++
  return values.filter((_, i) => i % stride === 0)
}

interface ParityModelOptions {
  /** Added to every beta but those of bn3. Default 0. */
  readonly betaShift?: number
  /** Added to the stem's betas. Default `betaShift`. */
  readonly stemShift?: number
  /** Default 10. */
  readonly classes?: number
}

/** A ResNet-50 with the fixtures' weights. */
export function parityModel(gpu: Gpu, width: number, options: ParityModelOptions = {}): ResNet {
  const { betaShift = 0, stemShift = betaShift, classes = 10 } = options
  const model = resnet50(gpu, { classes, width })
  let convolutions = 0
  let norms = 0
  for (const { spec, value } of model.parameters.parameters) {
    const { name, layout, shape } = spec
    const count = value.value.length
    let data: Float32Array
    if (layout === 'hwio') {
      const fanIn = shape[0]! * shape[1]! * shape[2]!
      data = hashTensor(count, 1000 + convolutions++, 2 * Math.sqrt(6 / fanIn))
    } else if (name === 'fc.weight') data = hashTensor(count, 2000, 2 / Math.sqrt(shape[0]!))
    else if (name === 'fc.bias') data = hashTensor(count, 2001, 2 / Math.sqrt(model.features))
    else if (name.endsWith('.weight')) {
      const last = name.endsWith('bn3.weight') ? 0.25 : 1
      data = hashTensor(count, 3000 + norms, 0.2, 1).map((gamma) => gamma * last)
    } else {
      const inner = name.endsWith('bn3.bias') ? 0 : betaShift
      const shift = name === 'bn1.bias' ? stemShift : inner
      data = hashTensor(count, 4000 + norms++, 0.1, shift)
    }
    gpu.write(value.value, data)
  }
  return model
}

/** Batch `index` of the fixtures' images, [8, 32, 32, 3]. */
export function parityImages(index: number): Float32Array {
  const size = 8 * 32 * 32 * 3
  return hashTensor(5 * size, 133, 4).slice(index * size, (index + 1) * size)
}

/** Labels of batch `index`, [8]. */
export function parityLabels(index: number): Uint32Array {
  return Uint32Array.from({ length: 8 }, (_, i) => (index * 8 + i) % 10)
}
