/** Layers of a tile of shaders/analysis/hsic.wesl, either way. */
const TILE = 4

/**
 * Which products of stacked matrices are wanted, as tiles of 4 x 4, and where each lies.
 *
 * The layers of A come first in the stack, then those of B: all pairs of a layer of A with one of B
 * and every layer with itself. Without B, all pairs within A.
 */
export class LayerPairs {
  /** Layers in the stack. */
  readonly layers: number
  /** The first layers of each tile's rows and columns. */
  readonly tiles: readonly (readonly [number, number])[]
  readonly #index = new Map<string, number>()

  constructor(
    private readonly a: number,
    b: number | undefined,
  ) {
    this.layers = a + (b ?? 0)
    const blocksA = blocks(0, a)
    const blocksB = blocks(a, b ?? 0)
    const tiles: [number, number][] = []
    for (const row of blocksA)
      for (const column of b === undefined ? blocksA.filter((c) => c >= row) : blocksB)
        tiles.push([row, column])
    if (b !== undefined) for (const block of [...blocksA, ...blocksB]) tiles.push([block, block])
    for (const [index, tile] of tiles.entries()) this.#index.set(`${tile}`, index)
    this.tiles = tiles
  }

  /** Products computed, wanted or not. */
  get products(): number {
    return TILE ** 2 * this.tiles.length
  }

  /** Where the product of two layers lies, given by their places in the stack, i <= j. */
  entry(i: number, j: number): number {
    const row = this.#block(i)
    const column = this.#block(j)
    return TILE ** 2 * this.#index.get(`${row},${column}`)! + TILE * (i - row) + (j - column)
  }

  #block(layer: number): number {
    const start = layer < this.a ? 0 : this.a
    return layer - ((layer - start) % TILE)
  }
}

function blocks(start: number, count: number): number[] {
  return Array.from({ length: Math.ceil(count / TILE) }, (_, i) => start + TILE * i)
}
