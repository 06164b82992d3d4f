import process from 'node:process'
import { Command } from 'commander'
import { Sparsity } from '../analysis/sparsity.ts'
import { FeatureFile } from './featureFiles.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { nameList } from './parse.ts'
import { Progress } from './progress.ts'

interface Options {
  readonly layers?: readonly string[]
  readonly json?: boolean
}

export function sparsityCommand(): Command {
  return new Command('sparsity')
    .description('share of activations that are not exactly 0')
    .argument('<X>', '.npy [n, ...], or .safetensors with a layer [n, ...] or several')
    .option('--layers <LIST>', 'layers of the file, with commas between; else all', nameList)
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(path: string, options: Options): Promise<void> {
  const file = await FeatureFile.open(path, options.layers)
  const progress = new Progress()
  try {
    const n = file.examples
    const gpu = await openTunedGpu()
    try {
      const layers = file.layers.map(({ name, p }) => ({ layer: name, features: p }))
      const sparsity = new Sparsity(gpu, layers)
      const task = progress.task('Sparsity', n, 'examples')
      await file.forEachBatch(
        gpu,
        (features) => sparsity.add(features),
        (done) => task.update(done),
      )
      task.end()
      progress.stop()
      const results = await sparsity.result()
      const report =
        results.length === 1
          ? { nonZero: results[0]!.nonZero, n, features: results[0]!.features }
          : {
              layers: Object.fromEntries(
                results.map(({ layer, nonZero, features }) => [layer, { nonZero, features }]),
              ),
              n,
            }
      process.stdout.write(
        options.json
          ? `${JSON.stringify(report)}\n`
          : results
              .map(({ layer, nonZero }) => `${layer}: ${(100 * nonZero).toFixed(2)} % not 0\n`)
              .join(''),
      )
    } finally {
      gpu.close()
    }
  } finally {
    progress.stop()
    file.close()
  }
}
