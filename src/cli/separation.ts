import process from 'node:process'
import { Command, Option } from 'commander'
import { SeparationIndexes, type SeparationIndexesResult } from '../analysis/separationIndexes.ts'
import { openGpu } from '../gpu/gpu.ts'
import { FeatureFile, readLabels } from './featureFiles.ts'
import { nameList } from './parse.ts'
import { Progress } from './progress.ts'

interface Options {
  readonly labels?: string
  readonly layers?: readonly string[]
  readonly centre: 'example' | 'class'
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
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(path: string, options: Options): Promise<void> {
  const file = await FeatureFile.open(path, options.layers)
  const progress = new Progress()
  try {
    const n = file.examples
    const { labels, classes } = await readLabels(options.labels ?? path, n)
    const gpu = await openGpu()
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
      process.stdout.write(
        options.json ? `${JSON.stringify(report(results))}\n` : results.map(describe).join(''),
      )
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}

const INDEXES = ['cosine', 'cosineCentered', 'euclidean'] as const

function layerReport(result: SeparationIndexesResult) {
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
  }
}

function report(results: readonly SeparationIndexesResult[]) {
  if (results.length === 1) return layerReport(results[0]!)
  return { layers: Object.fromEntries(results.map((r) => [r.layer, layerReport(r)])) }
}

function describe(result: SeparationIndexesResult): string {
  const { cosine } = result
  const values = INDEXES.map((name) => {
    const { r2, undefined: why } = result[name]
    return `${name} ${r2 === null ? `undefined (${why})` : r2.toFixed(4)}`
  })
  return `${result.layer}: R2 ${values.join(', ')}; ${cosine.n} examples, ${cosine.classes} classes\n`
}
