import { basename } from 'node:path'
import process from 'node:process'
import { Command, Option } from 'commander'
import type { CkaResult } from '../analysis/ckaResult.ts'
import type { Estimator } from '../analysis/gramStack.ts'
import { type CkaTiming, streamCka } from '../analysis/streamCka.ts'
import { type FmaCeiling, measureFma } from '../bench/ceilings.ts'
import { ckaHeatMap } from '../study/report/ckaHeatMap.ts'
import { type CkaSide, CkaSides } from './ckaSides.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { bytes, integer, nameList } from './parse.ts'
import { type PictureOptions, writePicture } from './picture.ts'
import { Progress } from './progress.ts'

interface Options extends PictureOptions {
  readonly layers?: readonly string[]
  readonly layersB?: readonly string[]
  readonly batch?: number
  readonly epochs: number
  readonly estimator: Estimator
  readonly shuffle: boolean
  readonly memory: number
  readonly seed: number
  readonly input?: string
  readonly split: 'test' | 'train'
  readonly images?: number
  readonly initial?: boolean
  readonly momentImages?: number
  readonly ceiling?: boolean
  readonly json?: boolean
}

export function ckaCommand(): Command {
  return new Command('cka')
    .description('CKA of two arrays of features, or of all pairs of layers of two files or runs')
    .argument('<A>', 'run folder, .npy [n, ...], or .safetensors with a layer [n, ...] or several')
    .argument('[B]', 'the same n examples through another network; only --initial does without')
    .option('--layers <LIST>', 'layers of the files, with commas between; else all', nameList)
    .option('--layers-b <LIST>', "B's layers, where they are not named like A's", nameList)
    .option('--batch <N>', 'examples of a minibatch; all of up to 1500, else 1500', integer(4))
    .option('--epochs <N>', 'passes over the examples, each in another order', integer(1), 1)
    .addOption(
      new Option('--estimator <NAME>', 'of HSIC')
        .choices(['unbiased', 'biased'])
        .default('unbiased'),
    )
    .option('--no-shuffle', 'take minibatches in the order of the file')
    .option('--memory <BYTES>', 'for features and Gram matrices, as in 512MiB', bytes, 2 ** 30)
    .option('--seed <N>', 'seed of the order of the examples', integer(0), 0)
    .option('--input <D>', 'runs: the data set to look at; default: what they were trained on')
    .addOption(
      new Option('--split <SPLIT>', 'runs: of the data set')
        .choices(['test', 'train'])
        .default('test'),
    )
    .option('--images <N>', 'runs: the first images of it; default: all', integer(4))
    .option('--initial', 'take B, or A without B, as its training began, see the README')
    .option(
      '--moment-images <N>',
      '--initial: training images that batch-norm moments are computed on; default: all',
      integer(2),
    )
    .option(
      '--ceiling',
      "measure this device's multiply-adds too, and compare Gram products with it",
    )
    .option('--svg <OUT>', 'draw the matrix')
    .option('--png <OUT>', 'draw the matrix')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(
  pathA: string,
  givenB: string | undefined,
  options: Options,
  command: Command,
): Promise<void> {
  const pathB = givenB ?? (options.initial ? pathA : undefined)
  if (pathB === undefined) command.error("error: missing required argument 'B'")
  const gpu = await openTunedGpu()
  const progress = new Progress()
  const sides = new CkaSides(gpu, progress, options)
  const open: CkaSide[] = []
  try {
    open.push(await sides.open(pathA, options.layers))
    open.push(await sides.open(pathB, options.layersB ?? options.layers, options.initial))
    const [a, b] = open.map(({ network }) => network)
    const { batch, epochs, estimator, shuffle, memory, seed } = options
    const task = progress.task('Gram products', 1, 'GFLOP')
    const result = await streamCka(gpu, a!, b, {
      ...(batch === undefined ? {} : { batch }),
      ...(shuffle ? {} : { shuffle }),
      epochs,
      estimator,
      memory,
      seed,
      onProgress: (done, total) => {
        const all = Math.ceil(total / 1e9)
        task.update(done === total ? all : Math.min(all - 1, done / 1e9) | 0, undefined, all)
      },
    })
    task.end()
    progress.stop()
    const ceiling = options.ceiling ? await measureFma(gpu) : undefined
    process.stderr.write(`${describeTiming(result.timing, ceiling)}\n`)
    const names = { a: basename(pathA), b: nameOfB(pathB, options) }
    await writePicture(options, () => ckaHeatMap({ ...pictured(result), ...names }, names, false))
    process.stdout.write(
      options.json ? `${JSON.stringify(report(result, ceiling))}\n` : describe(result),
    )
  } finally {
    for (const side of open) side.close()
    progress.stop()
    gpu.close()
  }
}

function nameOfB(path: string, { initial }: Options): string {
  return initial ? `${basename(path)} at initialisation` : basename(path)
}

function pictured({ layersA, layersB, matrix, undefined: reasons, ...rest }: CkaResult) {
  return {
    layersA: [...layersA],
    layersB: [...layersB],
    matrix: matrix.map((row) => [...row]),
    undefined: { ...reasons },
    estimator: rest.estimator,
    n: rest.n,
    batches: rest.batches,
  }
}

/** The JSON object: single values where each file has one layer. */
function report(result: CkaResult & { timing: CkaTiming }, ceiling?: FmaCeiling) {
  const { matrix, layersA, layersB, hsicXY, hsicXX, hsicYY, undefined: reasons } = result
  const { estimator, n, batches, timing } = result
  const isPair = layersA.length === 1 && layersB.length === 1
  const values = isPair
    ? { cka: matrix[0]![0]!, hsicXY: hsicXY[0]![0]!, hsicXX: hsicXX[0]!, hsicYY: hsicYY[0]! }
    : { matrix, layersA, layersB, hsicXY, hsicXX, hsicYY }
  const why = isPair ? { cka: Object.values(reasons)[0] } : reasons
  return {
    ...values,
    ...(Object.keys(reasons).length > 0 ? { undefined: why } : {}),
    estimator,
    n,
    batches,
    timing,
    ...(ceiling ? { ceiling } : {}),
  }
}

function describe({ matrix, layersA, layersB, undefined: reasons, n, batches }: CkaResult): string {
  const show = (value: number | null) => (value === null ? 'undefined' : value.toFixed(4))
  const over = `${n} examples in ${batches} ${batches === 1 ? 'minibatch' : 'minibatches'}\n`
  const why = Object.entries(reasons).map(([pair, reason]) => `${pair}: ${reason}\n`)
  if (matrix.length === 1 && layersB.length === 1)
    return `CKA ${show(matrix[0]![0]!)}, ${over}${why.join('')}`
  const width = Math.max(9, ...layersB.map(({ length }) => length)) + 2
  const head = Math.max(...layersA.map(({ length }) => length))
  const row = (name: string, cells: readonly string[]) =>
    `${name.padEnd(head)}${cells.map((cell) => cell.padStart(width)).join('')}\n`
  return [
    row('', layersB),
    ...matrix.map((values, i) => row(layersA[i]!, values.map(show))),
    over,
    ...why,
  ].join('')
}

function describeTiming(timing: CkaTiming, ceiling?: FmaCeiling): string {
  const { seconds, gramSeconds, featureSeconds, gramOperations, peakBytes } = timing
  const share = ((100 * gramSeconds) / seconds).toFixed(0)
  const gflops = gramOperations / gramSeconds / 1e9
  const compared = ceiling
    ? `, ${((100 * gflops) / ceiling.gflops).toFixed(0)} % of the ${ceiling.gflops.toFixed(1)} that this device's multiply-adds reach`
    : ''
  const features = ((100 * featureSeconds) / seconds).toFixed(0)
  return `${seconds.toFixed(1)} s, ${features} % of it for features and ${share} % in Gram products at ${gflops.toFixed(1)} GFLOP/s${compared}; ${Math.ceil(peakBytes / 2 ** 20)} MiB on the device`
}
