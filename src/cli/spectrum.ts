import process from 'node:process'
import { Command } from 'commander'
import { centredClassMeans, classMeans } from '../analysis/classMeans.ts'
import { ClassSeparation } from '../analysis/classSeparation.ts'
import { type SpectrumResult, spectrum } from '../analysis/spectrum.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { spectrumChart } from '../study/report/analysisCharts.ts'
import { FeatureFile, readLabels, readMatrix } from './featureFiles.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { nameList } from './parse.ts'
import { type PictureOptions, writePicture } from './picture.ts'
import { Progress, type TaskProgress } from './progress.ts'

interface Options extends PictureOptions {
  readonly labels?: string
  readonly layers?: readonly string[]
  readonly weights?: string
  readonly centre?: boolean
  readonly json?: boolean
}

export function spectrumCommand(): Command {
  return new Command('spectrum')
    .description('singular values of activations, of class centroids and of weights')
    .argument('<X>', '.npy [n, ...], or .safetensors with a layer [n, ...] or several')
    .option('--labels <Y>', '.npy [n], or .safetensors with labels [n]: adds the class centroids')
    .option('--layers <LIST>', 'layers of the file, with commas between; else all', nameList)
    .option('--weights <W>', '[rows, columns]: .npy, or .safetensors with weight or fc.weight')
    .option('--centre', 'take the mean row off each matrix first')
    .option('--svg <OUT>', 'draw the spectra')
    .option('--png <OUT>', 'draw the spectra')
    .option('--json', 'print one JSON object')
    .action(run)
}

/** The spectra of one layer. */
interface LayerSpectra {
  readonly activations: SpectrumResult
  readonly centroids?: SpectrumResult
}

async function run(path: string, options: Options): Promise<void> {
  const file = await FeatureFile.open(path, options.layers)
  const progress = new Progress()
  try {
    const n = file.examples
    const labels = options.labels === undefined ? undefined : await readLabels(options.labels, n)
    const weights = options.weights === undefined ? undefined : await readMatrix(options.weights)
    const centre = !!options.centre
    const gpu = await openTunedGpu()
    try {
      const task = progress.task('Spectra', 1, 'layers')
      const layers: Record<string, LayerSpectra> = {}
      for (const [i, layer] of file.layers.entries()) {
        const activations = await spectrum(gpu, layer, {
          centre,
          onProgress: progressOf(task, i, file.layers.length),
        })
        layers[layer.name] = labels
          ? { activations, centroids: await centroidSpectrum(gpu, file, i, labels, centre) }
          : { activations }
      }
      const ofWeights =
        weights &&
        (await spectrum(gpu, gpu.upload('f32', [weights.rows, weights.columns], weights.values), {
          centre,
        }))
      task.end()
      progress.stop()
      const all = Object.entries(layers).flatMap(([name, { activations, centroids }]) => [
        { label: file.layers.length > 1 ? `${name}, activations` : 'activations', ...activations },
        ...(centroids
          ? [{ label: file.layers.length > 1 ? `${name}, centroids` : 'centroids', ...centroids }]
          : []),
      ])
      if (ofWeights) all.push({ label: 'weights', ...ofWeights })
      await writePicture(options, () => spectrumChart(all))
      const [only, more] = Object.values(layers)
      const report = {
        ...(more ? { layers } : only),
        ...(ofWeights ? { weights: ofWeights } : {}),
      }
      process.stdout.write(
        options.json ? `${JSON.stringify(report)}\n` : all.map(describe).join(''),
      )
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}

function progressOf(task: TaskProgress, index: number, layers: number) {
  return (done: number, total: number) =>
    task.update(index + Math.floor(done / total), undefined, layers)
}

/** Class means of one layer, and their singular values. */
async function centroidSpectrum(
  gpu: Gpu,
  file: FeatureFile,
  index: number,
  { labels, classes }: { labels: Uint32Array; classes: number },
  centre: boolean,
): Promise<SpectrumResult> {
  const { name, p } = file.layers[index]!
  const moments = new ClassSeparation(gpu, [{ layer: name, features: p }], classes, {}, 'euclidean')
  await file
    .only(index)
    .forEachBatch(gpu, (features, first, count) =>
      moments.add(features, labels.subarray(first, first + count)),
    )
  const sums = { features: p, chunks: moments.chunks(0), counts: moments.counts, variant: {} }
  const means = centre ? centredClassMeans(gpu, sums) : classMeans(gpu, sums)
  const result = await spectrum(gpu, means)
  means.release()
  moments.release()
  const n = new Set(labels).size
  const singularValues = result.singularValues.slice(0, Math.min(n, p))
  return { ...result, singularValues, n, centred: centre }
}

function describe({
  label,
  singularValues,
  resolution,
  n,
  p,
}: SpectrumResult & { label: string }): string {
  const shown = singularValues.slice(0, 8).map((value) => value.toPrecision(4))
  const more = singularValues.length > 8 ? ', ...' : ''
  return `${label} [${n}, ${p}]: ${shown.join(', ')}${more} (resolution ${resolution.toPrecision(2)})\n`
}
