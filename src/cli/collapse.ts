import process from 'node:process'
import { Command, Option } from 'commander'
import type { CollapseOptions, CollapseResult } from '../analysis/collapseResult.ts'
import { NeuralCollapse } from '../analysis/neuralCollapse.ts'
import { openGpu } from '../gpu/gpu.ts'
import { FeatureFile, readLabels, readMatrix } from './featureFiles.ts'
import { Progress } from './progress.ts'

interface Options {
  readonly labels?: string
  readonly layer?: string
  readonly weights?: string
  readonly ddof: string
  readonly traceUndivided?: boolean
  readonly unitWeights?: boolean
  readonly json?: boolean
}

export function collapseCommand(): Command {
  return new Command('collapse')
    .description('neural collapse: the eight measures of Table E.2')
    .argument('<X>', '.npy [n, ...], or .safetensors with a layer [n, ...]')
    .option(
      '--labels <Y>',
      '.npy [n], or .safetensors with labels [n]; without it, labels of X itself',
    )
    .option('--layer <NAME>', 'which layer of the file, where it has several')
    .option(
      '--weights <W>',
      "the last layer's [classes, p]: .npy, or .safetensors with weight or fc.weight",
    )
    .addOption(
      new Option('--ddof <N>', 'standard deviations divide by the number of values less this')
        .choices(['0', '1'])
        .default('0'),
    )
    .option('--trace-undivided', 'the trace itself, not over the number of classes')
    .option('--unit-weights', 'weights at unit length, as cosine softmax uses them')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(path: string, options: Options): Promise<void> {
  const file = await FeatureFile.open(
    path,
    options.layer === undefined ? undefined : [options.layer],
  )
  const progress = new Progress()
  try {
    const layer = file.onlyLayer('--layer')
    const { n, p, name } = layer
    const { labels, classes: seen } = await readLabels(options.labels ?? path, n)
    const weights = options.weights === undefined ? undefined : await readMatrix(options.weights, p)
    if (weights && weights.rows < seen)
      throw new Error(
        `${options.weights}: weights of ${weights.rows} classes, but there are labels up to ${seen - 1}`,
      )
    const classes = weights?.rows ?? seen
    const gpu = await openGpu()
    try {
      const conventions: CollapseOptions = {
        ddof: options.ddof === '1' ? 1 : 0,
        tracePerClass: !options.traceUndivided,
        unitWeights: !!options.unitWeights,
      }
      const analysis = new NeuralCollapse(gpu, { layer: name, features: p }, classes, conventions)
      const task = progress.task('Neural collapse', 2 * n, 'examples')
      for (const [pass, method] of (['add', 'addDeviations'] as const).entries()) {
        await file.forEachBatch(
          gpu,
          ([x], first, count) => analysis[method](x!, labels.subarray(first, first + count)),
          (done) => task.update(pass * n + done),
        )
        if (method === 'add')
          await analysis.centre(weights && gpu.upload('f32', [classes, p], weights.values))
      }
      task.end()
      progress.stop()
      const result = await analysis.result()
      process.stdout.write(options.json ? `${JSON.stringify(report(result))}\n` : describe(result))
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}

function report({ undefined: reasons, ...result }: CollapseResult) {
  return { ...result, ...(Object.keys(reasons).length > 0 ? { undefined: reasons } : {}) }
}

const NAMES = {
  cvMu: 'class means: deviation of the norms / mean norm',
  cvW: 'weights: deviation of the norms / mean norm',
  stdCosMu: 'class means: deviation of the cosines',
  stdCosW: 'weights: deviation of the cosines',
  avgCosMu: 'class means: mean |cosine + 1/(C-1)|',
  avgCosW: 'weights: mean |cosine + 1/(C-1)|',
  duality: '|W/|W| - M/|M||^2',
  trace: 'Tr(SW SB^+) / C',
} as const

function describe(result: CollapseResult): string {
  const lines = Object.entries(NAMES).map(([key, name]) => {
    const value = result[key as keyof typeof NAMES]
    const text = value === null ? `undefined: ${result.undefined[key]}` : value.toPrecision(5)
    return `${name.padEnd(50)}${text}\n`
  })
  return `${lines.join('')}${result.n} examples, ${result.classes} classes, rank ${result.rank}\n`
}
