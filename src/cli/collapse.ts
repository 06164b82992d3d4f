import process from 'node:process'
import { Command, Option } from 'commander'
import { angularHardness } from '../analysis/angularHardness.ts'
import type { CollapseOptions, CollapseResult } from '../analysis/collapseResult.ts'
import { density } from '../analysis/density.ts'
import { NeuralCollapse } from '../analysis/neuralCollapse.ts'
import { sliceOf } from '../analysis/slice.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { hardnessChart } from '../study/report/analysisCharts.ts'
import { FeatureFile, readLabels, readMatrix } from './featureFiles.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { positive } from './parse.ts'
import { type PictureOptions, writePicture } from './picture.ts'
import { Progress } from './progress.ts'

interface Options extends PictureOptions {
  readonly labels?: string
  readonly layer?: string
  readonly weights?: string
  readonly ddof: string
  readonly traceUndivided?: boolean
  readonly unitWeights?: boolean
  readonly hardness?: boolean
  readonly bandwidth: number
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
    .option('--hardness', 'angular visual hardness of each example too (needs --weights)')
    .option('--bandwidth <X>', "of the hardness's density", positive, 5e-6)
    .option('--svg <OUT>', 'draw the density of the hardness')
    .option('--png <OUT>', 'draw the density of the hardness')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(path: string, options: Options, command: Command): Promise<void> {
  if (options.hardness && options.weights === undefined)
    command.error('error: --hardness is an angle to weights, expected --weights too', {
      exitCode: 2,
    })
  if ((options.svg ?? options.png) !== undefined && !options.hardness)
    command.error('error: --svg and --png draw hardness, expected --hardness too', { exitCode: 2 })
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
    const gpu = await openTunedGpu()
    try {
      const conventions: CollapseOptions = {
        ddof: options.ddof === '1' ? 1 : 0,
        tracePerClass: !options.traceUndivided,
        unitWeights: !!options.unitWeights,
      }
      const analysis = new NeuralCollapse(gpu, { layer: name, features: p }, classes, conventions)
      const onDevice = weights && gpu.upload('f32', [classes, p], weights.values)
      const task = progress.task('Neural collapse', 2 * n, 'examples')
      for (const [pass, method] of (['add', 'addDeviations'] as const).entries()) {
        await file.forEachBatch(
          gpu,
          ([x], first, count) => analysis[method](x!, labels.subarray(first, first + count)),
          (done) => task.update(pass * n + done),
        )
        if (method === 'add') await analysis.centre(onDevice)
      }
      const hardness =
        options.hardness && onDevice
          ? await hardnessOf(gpu, file, labels, onDevice, options.bandwidth)
          : undefined
      task.end()
      progress.stop()
      const result = await analysis.result()
      if (hardness) await writePicture(options, () => hardnessChart(hardness.density))
      const all = { ...report(result), ...(hardness ? { hardness } : {}) }
      process.stdout.write(
        options.json
          ? `${JSON.stringify(all)}\n`
          : `${describe(result)}${hardness ? `mean angular visual hardness ${hardness.mean.toPrecision(5)}\n` : ''}`,
      )
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}

/** Hardness of every example, their mean, and its density. */
async function hardnessOf(
  gpu: Gpu,
  file: FeatureFile,
  labels: Uint32Array,
  weights: GpuArray<'f32'>,
  bandwidth: number,
) {
  const n = file.examples
  const all = gpu.empty('f32', [n], 'angular hardness')
  await file.forEachBatch(gpu, ([x], first, count) => {
    const part = angularHardness(gpu, x!, weights, labels.subarray(first, first + count))
    gpu.copy(part, sliceOf(all, first, count))
    part.release()
  })
  const perExample = [...(await gpu.read(all))]
  const wrong = perExample.indexOf(-1)
  if (wrong >= 0)
    throw new Error(
      `${file.layers[0]!.title}: example ${wrong} or a row of the weights is too large or small to square`,
    )
  const low = perExample.reduce((a, b) => Math.min(a, b))
  const high = perExample.reduce((a, b) => Math.max(a, b))
  const margin = 4 * bandwidth
  const grid = { low: low - margin, high: high + margin, points: 512, bandwidth }
  const result = {
    mean: perExample.reduce((sum, value) => sum + value, 0) / n,
    perExample,
    density: await density(gpu, { values: all }, grid),
  }
  all.release()
  return result
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
