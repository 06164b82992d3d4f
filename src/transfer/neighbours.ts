import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type DistanceSpace, exactDistance } from './metric.ts'

/** Width of the tiles of shaders/transfer/squared_distances.wesl. */
const TILE = 16
/** Candidates beyond those asked for: the order of the last is float32's, not the exact one. */
const SPARE = 16
/** Queries and references of one product. */
const QUERIES_TOGETHER = 1024
const REFERENCES_TOGETHER = 8192

/** The nearest references of each query. */
export interface Neighbours {
  /** [queries, count]: indices of references, nearest first, of equally near ones the lowest. */
  readonly indices: Uint32Array
  readonly count: number
}

/** Examples as columns [features, stride], stride a multiple of TILE, features even. */
interface Columns {
  readonly array: GpuArray<'f32'>
  readonly first: number
  readonly examples: number
  readonly stride: number
}

/**
 * The `count` nearest references of each query, exactly: the device computes all distances in
 * float32 by differences, tile by tile, and keeps `count + 16` candidates of each query; the host
 * orders these by their distances in float64. A query whose candidates might miss a neighbour, within
 * float32's error bound, has all its distances computed in float64.
 *
 * @param self whether the queries are the references themselves, of which each leaves out itself, by
 *   index: a duplicate of it counts
 * @param count at most the number of references, less one with `self`
 */
export async function findNeighbours(
  gpu: Gpu,
  queries: DistanceSpace,
  references: DistanceSpace,
  count: number,
  self: boolean,
  onQueries: (done: number, total: number) => void = () => {},
): Promise<Neighbours> {
  const kept = Math.min(count + SPARE, references.n)
  const indices = new Uint32Array(queries.n * count)
  const blocks: Columns[] = []
  for (let first = 0; first < references.n; first += REFERENCES_TOGETHER)
    blocks.push(uploadColumns(gpu, references, first, REFERENCES_TOGETHER))
  for (let first = 0; first < queries.n; first += QUERIES_TOGETHER) {
    const block = uploadColumns(gpu, queries, first, QUERIES_TOGETHER)
    const found = await candidatesOf(gpu, block, blocks, queries.width, kept, self)
    for (let q = 0; q < block.examples; q++) {
      const query = first + q
      const { candidates, farthest } = nearestOf(found, q, block.examples, kept)
      const choice =
        choose(queries, query, references, candidates, count, farthest) ??
        choose(queries, query, references, everyReference(references.n, query, self), count)
      indices.set(choice!, query * count)
    }
    block.array.release()
    onQueries(first + block.examples, queries.n)
  }
  for (const { array } of blocks) array.release()
  return { indices, count }
}

/** What the device found: each [slices, kept, queries]. */
interface Found {
  readonly distances: Float32Array
  readonly indices: Uint32Array
  readonly slices: number
}

async function candidatesOf(
  gpu: Gpu,
  queries: Columns,
  references: readonly Columns[],
  width: number,
  kept: number,
  self: boolean,
): Promise<Found> {
  const { lanes, subgroups8, targetWorkgroups } = gpu.profile
  const groups = Math.ceil(queries.examples / lanes)
  const most = Math.max(...references.map(({ examples }) => examples))
  const slices = Math.max(
    1,
    Math.min(Math.ceil(targetWorkgroups / groups), Math.floor(most / (4 * kept))),
  )
  const shape = [slices, kept, queries.examples]
  const nearest = gpu.empty('f32', shape, 'nearest distances')
  const indices = gpu.empty('u32', shape, 'nearest indices')
  for (const block of references) {
    const distances = gpu.empty('f32', [block.stride, queries.stride], 'distances')
    gpu.dispatch(kernels.transfer_squared_distances, {
      constants: { LANES: lanes },
      conditions: { SUBGROUPS8: subgroups8 },
      buffers: { a: block.array, b: queries.array, distances },
      params: { features: even(width), strideA: block.stride, strideB: queries.stride },
      workgroups: [queries.stride / TILE, Math.ceil(block.stride / (4 * lanes)), 1],
    })
    gpu.dispatch(kernels.transfer_nearest, {
      constants: { LANES: lanes },
      conditions: { SELF: self },
      buffers: { distances, nearest, indices },
      params: {
        queries: queries.examples,
        stride: queries.stride,
        references: block.examples,
        perSlice: Math.ceil(block.examples / slices),
        kept,
        firstQuery: queries.first,
        firstReference: block.first,
      },
      workgroups: [groups, slices, 1],
    })
    distances.release()
  }
  const found = { distances: await gpu.read(nearest), indices: await gpu.read(indices), slices }
  nearest.release()
  indices.release()
  return found
}

const NONE = 0xffffffff

/** A query's `kept` best candidates over all slices, and the float32 distance of the last. */
function nearestOf(
  { distances, indices, slices }: Found,
  q: number,
  queries: number,
  kept: number,
) {
  const all: { index: number; distance: number }[] = []
  for (let at = q; at < slices * kept * queries; at += queries)
    if (indices[at] !== NONE) all.push({ index: indices[at]!, distance: distances[at]! })
  all.sort((a, b) => a.distance - b.distance)
  const best = all.slice(0, kept)
  return {
    candidates: best.map(({ index }) => index),
    // Fewer than could be kept: there are no others.
    farthest: best.length < kept ? Number.POSITIVE_INFINITY : best.at(-1)!.distance,
  }
}

function everyReference(n: number, query: number, self: boolean): number[] {
  const all = [...Array(n).keys()]
  if (self) all.splice(query, 1)
  return all
}

/**
 * The nearest `count` candidates in exact order, or nothing where a reference that is no candidate,
 * none of which is nearer than `farthest` in float32, could be among them.
 */
function choose(
  queries: DistanceSpace,
  query: number,
  references: DistanceSpace,
  candidates: readonly number[],
  count: number,
  farthest = Number.POSITIVE_INFINITY,
): number[] | undefined {
  const exact = candidates
    .map((index) => ({ index, distance: exactDistance(queries, query, references, index) }))
    .sort((a, b) => a.distance - b.distance || a.index - b.index)
    .slice(0, count)
  const { width, perturbation } = references
  const relative = 1 - (width + 4) * 2 ** -24
  const bound = Math.max(0, Math.sqrt(farthest * relative) - perturbation) ** 2
  if (exact.at(-1)!.distance >= bound) return undefined
  return exact.map(({ index }) => index)
}

function uploadColumns(gpu: Gpu, space: DistanceSpace, first: number, most: number): Columns {
  const { rounded, width, n } = space
  const examples = Math.min(most, n - first)
  const stride = TILE * Math.ceil(examples / TILE)
  const columns = new Float32Array(even(width) * stride)
  for (let i = 0; i < examples; i++)
    for (let k = 0; k < width; k++) columns[k * stride + i] = rounded[(first + i) * width + k]!
  const array = gpu.upload('f32', [even(width), stride], columns, 'examples')
  return { array, first, examples, stride }
}

function even(n: number): number {
  return n + (n % 2)
}
