import process from 'node:process'
import { Command } from 'commander'
import { type Picked, resnetShapes, tuneConvolutions } from '../bench/tuneConvolutions.ts'
import { writeFileWhole } from '../data/files.ts'
import { openGpu } from '../gpu/openGpu.ts'
import { interruptSignal } from './interrupt.ts'
import { integer, positive } from './parse.ts'
import { Progress } from './progress.ts'
import { choicesOf } from './tuneAtFirstUse.ts'
import { writeTuning } from './tuningCache.ts'

interface Options {
  readonly batch: number
  readonly size: number
  readonly width: number
  readonly classes: number
  readonly seconds?: number
  readonly out?: string
  readonly json?: boolean
}

export function tuneCommand(): Command {
  return new Command('tune')
    .description('find the fastest variants of the convolutions on this device, and keep them')
    .option('--batch <N>', 'images of a batch', integer(1), 8)
    .option('--size <S>', 'height and width of an image', integer(32), 224)
    .option('--width <X>', "factor of ResNet-50's channel counts", positive, 1)
    .option('--classes <K>', 'classes of the last layer', integer(1), 1000)
    .option(
      '--seconds <X>',
      'begin no further shape after so long; the costliest come first',
      positive,
    )
    .option('--out <FILE>', 'write the choices to this JSON file too')
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const progress = new Progress()
  const signal = interruptSignal(progress, 'Interrupted: finishing the shape in hand ...')
  const gpu = await openGpu()
  try {
    const task = progress.task('Tuning', 1, 'shapes')
    const picked = await tuneConvolutions(gpu, resnetShapes(options, options.classes), {
      ...(options.seconds ? { budget: 1000 * options.seconds } : {}),
      signal,
      onProgress: (done, total, next) => task.update(done, next || undefined, total),
    })
    const choices = choicesOf(picked)
    const file = await writeTuning(gpu.profile, choices)
    if (options.out) await writeFileWhole(options.out, `${JSON.stringify(choices, null, 1)}\n`)
    progress.stop()
    const { adapter, driver, backend, software } = gpu.profile
    const device = { adapter, driver, backend, software }
    process.stdout.write(
      options.json ? `${JSON.stringify({ device, picked, file })}\n` : describe(picked, file),
    )
  } finally {
    progress.stop()
    gpu.close()
  }
}

function describe(picked: readonly Picked[], file: string): string {
  const shapeWidth = Math.max(...picked.map(({ shape }) => shape.length), 0)
  const line = ({ shape, pass, ms, usualMs, variant, wrong }: Picked) =>
    [
      shape.padEnd(shapeWidth + 1),
      pass.padEnd(16),
      `${usualMs.toPrecision(3)} ms`.padStart(10),
      `${ms.toPrecision(3)} ms`.padStart(10),
      ` ${
        Object.entries(variant)
          .map(([name, value]) => `${name} ${value}`)
          .join(', ') || 'as chosen by shape'
      }`,
      wrong.length > 0 ? `; ${wrong.length} gave other bits and were left out` : '',
    ].join('')
  const sum = (times: readonly number[]) => times.reduce((a, b) => a + b, 0)
  const saved = 1 - sum(picked.map(({ ms }) => ms)) / sum(picked.map(({ usualMs }) => usualMs))
  return `${picked.map(line).join('\n')}\n\n${(100 * saved).toFixed(1)} % less time in all, each once; kept in ${file}\n`
}
