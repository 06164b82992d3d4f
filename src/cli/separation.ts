import process from 'node:process'
import { Command, Option } from 'commander'
import { type PairDistances, pairDistances } from '../analysis/pairDistances.ts'
import { SeparationIndexes, type SeparationIndexesResult } from '../analysis/separationIndexes.ts'
import type { FeatureArray } from '../data/featureArray.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { RandomStream } from '../random/randomStream.ts'
import { streams } from '../random/streams.ts'
import { distanceChart } from '../study/report/analysisCharts.ts'
import { FeatureFile, readLabels } from './featureFiles.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { integer, nameList, positive } from './parse.ts'
import { type PictureOptions, writePicture } from './picture.ts'
import { Progress } from './progress.ts'

interface Options extends PictureOptions {
  readonly labels?: string
  readonly layers?: readonly string[]
  readonly centre: 'example' | 'class'
  readonly distances?: number
  readonly bandwidth: number
  readonly seed: number
  readonly json?: boolean
}

export function separationCommand(): Command {
  return new Command('separation')
    .description('class separation R2 of features, by three distances')
    .argument('<X>', '.npy [n, ...], or .safetensors with a layer [n, ...] or several')
    .option(
      '--labels <Y>',
      '.npy [n], or .safetensors with labels [n]; without it, labels of X itself',
    )
    .option('--layers <LIST>', 'layers of the file, with commas between; else all', nameList)
    .addOption(
      new Option(
        '--centre <MEAN>',
        'what cosineCentered takes off: the mean of all examples, or of the class means',
      )
        .choices(['example', 'class'])
        .default('example'),
    )
    .option(
      '--distances <N>',
      'densities of cosine distances within and between classes, of N examples (the paper: 10000)',
      integer(2),
    )
    .option('--bandwidth <X>', 'of those densities', positive, 0.01)
    .option('--seed <N>', 'seed of the choice of examples for distances', integer(0), 0)
    .option('--svg <OUT>', 'draw the distances')
    .option('--png <OUT>', 'draw the distances')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(path: string, options: Options, command: Command): Promise<void> {
  if ((options.svg ?? options.png) !== undefined && options.distances === undefined)
    command.error('error: --svg and --png draw distances, expected --distances too', {
      exitCode: 2,
    })
  const file = await FeatureFile.open(path, options.layers)
  const progress = new Progress()
  try {
    const n = file.examples
    const { labels, classes } = await readLabels(options.labels ?? path, n)
    const gpu = await openTunedGpu()
    try {
      const layers = file.layers.map(({ name, p }) => ({ layer: name, features: p }))
      const indexes = new SeparationIndexes(gpu, layers, classes, { centre: options.centre })
      const task = progress.task('Class separation', 2 * n, 'examples')
      for (const [pass, method] of (['add', 'addCentered'] as const).entries()) {
        await file.forEachBatch(
          gpu,
          (features, first, count) =>
            indexes[method](features, labels.subarray(first, first + count)),
          (done) => task.update(pass * n + done),
        )
        indexes.centre()
      }
      task.end()
      progress.stop()
      const results = await indexes.result()
      const distances = new Map<string, PairDistances>()
      if (options.distances !== undefined)
        for (const layer of file.layers)
          distances.set(layer.name, await distancesOf(gpu, layer, labels, classes, options))
      await writePicture(options, () =>
        distanceChart([...distances].map(([label, result]) => ({ label, ...result }))),
      )
      process.stdout.write(
        options.json
          ? `${JSON.stringify(report(results, distances))}\n`
          : results.map((result) => describe(result, distances.get(result.layer))).join(''),
      )
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}

/** Distances of some examples of a layer, drawn without replacement. */
async function distancesOf(
  gpu: Gpu,
  layer: FeatureArray,
  labels: Uint32Array,
  classes: number,
  { distances: wanted, bandwidth, seed }: Options,
): Promise<PairDistances> {
  const count = Math.min(wanted!, layer.n)
  const { largestBinding: most } = gpu
  if (4 * count * layer.p > most)
    throw new Error(
      `${layer.title}: ${count} examples of ${layer.p} features exceed what this device binds at once, expected --distances ${Math.floor(most / 4 / layer.p)} or fewer`,
    )
  const rows = new RandomStream(seed, streams.analysis).permutation(layer.n).slice(0, count).sort()
  const x = gpu.upload('f32', [count, layer.p], layer.read(rows, 0, layer.p), layer.name)
  const chosen = Uint32Array.from(rows, (row) => labels[row]!)
  const result = await pairDistances(gpu, x, chosen, classes, { bandwidth })
  x.release()
  return result
}

const INDEXES = ['cosine', 'cosineCentered', 'euclidean'] as const

function layerReport(result: SeparationIndexesResult, distances?: PairDistances) {
  const { cosine } = result
  const reasons = INDEXES.flatMap((name) => {
    const why = result[name].undefined
    return why === undefined ? [] : [[name, why] as const]
  })
  return {
    ...Object.fromEntries(INDEXES.map((name) => [name, result[name].r2])),
    n: cosine.n,
    classes: cosine.classes,
    zeroRows: cosine.zeroRows,
    perClass: cosine.perClass.map(
      (term, k) =>
        term && {
          label: k,
          n: term.n,
          ...Object.fromEntries(INDEXES.map((name) => [name, result[name].perClass[k]!.r2])),
        },
    ),
    ...(reasons.length > 0 ? { undefined: Object.fromEntries(reasons) } : {}),
    ...(distances ? { distances } : {}),
  }
}

function report(
  results: readonly SeparationIndexesResult[],
  distances: ReadonlyMap<string, PairDistances>,
) {
  const layers = results.map((r) => [r.layer, layerReport(r, distances.get(r.layer))] as const)
  return layers.length === 1 ? layers[0]![1] : { layers: Object.fromEntries(layers) }
}

function describe(result: SeparationIndexesResult, distances?: PairDistances): string {
  const { cosine } = result
  const values = INDEXES.map((name) => {
    const { r2, undefined: why } = result[name]
    return `${name} ${r2 === null ? `undefined (${why})` : r2.toFixed(4)}`
  })
  return `${result.layer}: R2 ${values.join(', ')}; ${cosine.n} examples, ${cosine.classes} classes\n${distances ? describeDistances(distances) : ''}`
}

function describeDistances({ meanWithin, meanBetween, pairs }: PairDistances): string {
  const show = (mean: number | null) => (mean === null ? 'undefined' : mean.toFixed(3))
  return `  cosine distance: ${show(meanWithin)} within a class (${pairs.within} pairs), ${show(meanBetween)} between classes (${pairs.between} pairs)\n`
}
