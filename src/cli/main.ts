import process from 'node:process'
import { Command, CommanderError } from 'commander'
import { TrainingInterrupted } from '../train/trainer.ts'
import { benchCommand } from './bench.ts'
import { ckaCommand } from './cka.ts'
import { collapseCommand } from './collapse.ts'
import { doctorCommand } from './doctor.ts'
import { evalCommand } from './eval.ts'
import { featuresCommand } from './features.ts'
import { lossCommand } from './loss.ts'
import { quickstartCommand } from './quickstart.ts'
import { separationCommand } from './separation.ts'
import { sparsityCommand } from './sparsity.ts'
import { spectrumCommand } from './spectrum.ts'
import { studyCommand } from './study.ts'
import { trainCommand } from './train.ts'
import { transferCommand } from './transfer.ts'
import { tuneCommand } from './tune.ts'
import { packageVersion } from './version.ts'

const EXIT = { failed: 1, usage: 2, interrupted: 130 }

const program = new Command('gramgrad')
  .description(
    'Trains image classifiers through WebGPU and shows what an objective does to the features.',
  )
  .version(packageVersion())
  .option('--debug', 'show stack traces')
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text) })

const commands = [
  quickstartCommand(),
  trainCommand(),
  evalCommand(),
  featuresCommand(),
  doctorCommand(),
  lossCommand(),
  benchCommand(),
  ckaCommand(),
  separationCommand(),
  sparsityCommand(),
  collapseCommand(),
  spectrumCommand(),
  transferCommand(),
  studyCommand(),
  tuneCommand(),
]
for (const command of commands) {
  program.addCommand(command)
  for (const each of [command, ...command.commands])
    each.exitOverride().option('--debug', 'show stack traces')
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error as Error)
}

function exitCodeOf(error: Error): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage
  if (error instanceof TrainingInterrupted) return EXIT.interrupted
  const text = process.argv.includes('--debug') ? error.stack : `gramgrad: ${error.message}`
  process.stderr.write(`${text}\n`)
  return EXIT.failed
}
