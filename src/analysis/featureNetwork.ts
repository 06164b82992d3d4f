import type { GpuArray } from '../gpu/gpuArray.ts'

/** A layer's features of n examples, read in pieces. */
export interface FeatureSource {
  readonly name: string
  /** What errors call it, where that is more than the name. */
  readonly title?: string
  readonly n: number
  /** Features of an example. */
  readonly p: number
  /** Features first .. first + count of some examples, [rows.length, count] row by row. */
  read(rows: Uint32Array, first: number, count: number): Float32Array
}

/** Sets `values` to features first .. first + count of all n examples, [n, count]. */
export type FeatureReader = (first: number, count: number, values: Float32Array) => void

/** Features of one layer of a minibatch; they may be used until the next layer's are asked for. */
export interface LayerFeatures {
  /** Its place among the network's layers. */
  readonly layer: number
  readonly features: GpuArray<'f32'> | FeatureReader
}

/** Layers of a network on n examples, whose features come minibatch by minibatch. */
export interface FeatureNetwork {
  readonly layers: readonly Pick<FeatureSource, 'name' | 'title' | 'n' | 'p'>[]
  /** Bytes that it holds on the device from minibatch to minibatch. */
  readonly bytes: number
  /**
   * The features of some examples, layer by layer, each layer once.
   *
   * @param memory bytes that may be taken meanwhile, on the device and on the host
   */
  minibatch(
    rows: Uint32Array,
    memory: number,
  ): AsyncIterable<LayerFeatures> | Iterable<LayerFeatures>
}

/** Features that lie somewhere already as a network. */
export function storedNetwork(layers: readonly FeatureSource[]): FeatureNetwork {
  return {
    layers,
    bytes: 0,
    *minibatch(rows) {
      for (const [layer, source] of layers.entries())
        yield {
          layer,
          features: (first, count, values) => values.set(source.read(rows, first, count)),
        }
    },
  }
}

/**
 * Several networks as one that has all of their layers, one network's after another's.
 *
 * @param nameOf what a layer of the i-th network is called here
 */
export function stackedNetworks(
  networks: readonly FeatureNetwork[],
  nameOf: (name: string, i: number) => string,
): FeatureNetwork {
  return {
    layers: networks.flatMap(({ layers }, i) =>
      layers.map((layer) => ({ ...layer, name: nameOf(layer.name, i) })),
    ),
    bytes: networks.reduce((sum, { bytes }) => sum + bytes, 0),
    async *minibatch(rows, memory) {
      let before = 0
      for (const network of networks) {
        for await (const { layer, features } of network.minibatch(rows, memory))
          yield { layer: before + layer, features }
        before += network.layers.length
      }
    },
  }
}
