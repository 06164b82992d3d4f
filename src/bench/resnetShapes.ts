import type { BenchSizes } from './benchCase.ts'

/** A convolution of ResNet-50; pictures are square. */
export interface ConvolutionSize {
  readonly inSize: number
  readonly inChannels: number
  readonly outChannels: number
  readonly kernel: number
  readonly stride: number
}

/** Blocks' planes and the stride of the first block, stage by stage (He et al. 2016, Table 1). */
const STAGES = [
  { planes: 64, stride: 1 },
  { planes: 128, stride: 2 },
  { planes: 256, stride: 2 },
  { planes: 512, stride: 2 },
] as const
const EXPANSION = 4

const halved = (size: number) => Math.floor((size - 1) / 2) + 1
const channelsOf = (channels: number, width: number) => Math.max(1, Math.round(channels * width))

/** Height of the pictures and channels that each stage puts out. */
export function stageOutputs({ size, width }: BenchSizes): { size: number; channels: number }[] {
  let at = halved(halved(size))
  return STAGES.map(({ planes, stride }) => {
    if (stride === 2) at = halved(at)
    return { size: at, channels: channelsOf(planes, width) * EXPANSION }
  })
}

/** The distinct convolutions of ResNet-50 v1.5, the stem first. */
export function resnetConvolutions(sizes: BenchSizes): ConvolutionSize[] {
  const { size, width } = sizes
  const stem = channelsOf(64, width)
  const found = [{ inSize: size, inChannels: 3, outChannels: stem, kernel: 7, stride: 2 }]
  let at = halved(halved(size))
  let inChannels = stem
  for (const { planes: full, stride } of STAGES) {
    const planes = channelsOf(full, width)
    const outChannels = planes * EXPANSION
    const out = stride === 2 ? halved(at) : at
    const conv = (inSize: number, i: number, o: number, kernel: number, s: number) =>
      found.push({ inSize, inChannels: i, outChannels: o, kernel, stride: s })
    conv(at, inChannels, planes, 1, 1)
    conv(at, planes, planes, 3, stride)
    conv(out, planes, outChannels, 1, 1)
    conv(at, inChannels, outChannels, 1, stride)
    conv(out, outChannels, planes, 1, 1)
    conv(out, planes, planes, 3, 1)
    at = out
    inChannels = outChannels
  }
  const keyOf = (c: ConvolutionSize) => Object.values(c).join()
  return [...new Map(found.map((conv) => [keyOf(conv), conv])).values()]
}
