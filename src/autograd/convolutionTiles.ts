import type { Gpu } from '../gpu/gpu.ts'
import type { ConvolutionShape } from './convolutionShape.ts'
import type { ConvolutionVariant } from './convolutionVariant.ts'

const MAX_WORKGROUPS = 65535

/** Lanes of a workgroup, and what its loads may rely on. */
interface Lanes {
  readonly lanes: number
  readonly conditions: {
    readonly SUBGROUPS8: boolean
    readonly CI4: boolean
    readonly CO4: boolean
  }
}

/** The lanes of a convolution kernel's workgroups on this device. */
export function lanesOf(gpu: Gpu, shape: ConvolutionShape, variant: ConvolutionVariant): Lanes {
  const vectorised = variant.vectorised ?? true
  const lanes = variant.lanes ?? gpu.profile.lanes
  return {
    lanes,
    conditions: {
      SUBGROUPS8: (variant.subgroups ?? true) && gpu.profile.subgroups8 && lanes === 8,
      CI4: vectorised && shape.inChannels % 4 === 0,
      CO4: vectorised && shape.outChannels % 4 === 0,
    },
  }
}

/** Columns of a tile: 16 where 32 would leave a good part of them empty. */
export function isNarrow(columns: number, variant: ConvolutionVariant): boolean {
  const rest = columns % 32
  return variant.narrow ?? (columns < 96 && rest > 0 && rest <= 16)
}

/** The launch of a kernel over the rows of y (or of a phase of dx), but for its buffers. */
export function rowCall(
  gpu: Gpu,
  shape: ConvolutionShape,
  pixels: number,
  columns: number,
  variant: ConvolutionVariant,
) {
  const { lanes, conditions } = lanesOf(gpu, shape, variant)
  const { batch } = shape
  const isProduct =
    shape.inHeight * shape.inWidth * shape.outHeight * shape.outWidth === 1 &&
    shape.kernelHeight * shape.kernelWidth === 1
  const oneRow = variant.oneRow ?? batch * pixels <= lanes
  const narrow = isNarrow(columns, variant)
  const tileRows = oneRow ? lanes : 4 * lanes
  // Half-empty tiles cost more than masking the padding does.
  const flat = variant.flat ?? (2 * batch < tileRows && pixels > 1)
  const tiles = flat ? Math.ceil((batch * pixels) / tileRows) : pixels * Math.ceil(batch / tileRows)
  const columnTiles = Math.ceil(columns / (narrow ? 16 : 32))
  const groups = Math.ceil(gpu.profile.targetWorkgroups / columnTiles)
  const tilesPerGroup = Math.max(1, Math.floor(tiles / groups), Math.ceil(tiles / MAX_WORKGROUPS))
  return {
    call: {
      constants: { LANES: lanes },
      conditions: { ...conditions, FLAT: flat, ONE_ROW: oneRow, NARROW: narrow },
      params: { ...shape, tiles, tilesPerGroup },
      workgroups: [columnTiles, Math.ceil(tiles / tilesPerGroup), 1] as const,
    },
    /** Times that the kernel reads each column of w. */
    tiles,
    /** Times that the kernel reads each row of a matrix product. */
    columnTiles,
    packsRows: isProduct && !flat && !oneRow && lanes === 8,
  }
}
