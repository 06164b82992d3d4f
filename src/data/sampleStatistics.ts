import { BatchLoader } from './batchLoader.ts'
import { ChannelHistogram } from './channelStatistics.ts'
import type { BadImageError, ImageSource } from './imageSource.ts'

/** Images that the statistics of a folder are taken from. */
const SAMPLE = 1000
const CHUNK = 16

/**
 * Mean and standard deviation of each of three channels over up to 1,000 images, spread evenly over
 * a source: decoding all of ImageNet for two digits more would take hours.
 *
 * @param onProblem told of files that gave no image; they don't count.
 * @throws BadImageError when no image of the sample can be decoded.
 */
export async function sampleStatistics(
  source: ImageSource,
  onProblem: (problem: BadImageError) => void,
): Promise<{ mean: number[]; std: number[] }> {
  const taken = Math.min(SAMPLE, source.count)
  const indexes = Uint32Array.from({ length: taken }, (_, i) =>
    Math.floor((i * source.count) / taken),
  )
  const loader = new BatchLoader(source, { onBadImage: 'drop', onProblem })
  const histogram = new ChannelHistogram(3)
  for await (const { images } of loader.load(chunks(indexes))) {
    for (const { data } of images) histogram.add(data as Uint8Array)
  }
  const [problem] = loader.problems.values()
  if (histogram.isEmpty && problem) throw problem
  return histogram.statistics()
}

function* chunks(indexes: Uint32Array): Generator<Uint32Array> {
  for (let i = 0; i < indexes.length; i += CHUNK) yield indexes.subarray(i, i + CHUNK)
}
