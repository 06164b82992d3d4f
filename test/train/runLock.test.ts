import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lockRunFolder } from '../../src/train/runLock.ts'
import { runAgain, scenario } from '../childProcess.ts'
import { temporaryFolder } from '../data/temporaryFolder.ts'
import { thrown } from '../thrown.ts'

/** A child process that locks a folder and waits to be killed. */
async function hold(folder: string): Promise<void> {
  await lockRunFolder(folder)
  process.stdout.write('locked;')
  await new Promise((end) => setTimeout(end, 60_000))
}

if (scenario.length > 0) await hold(scenario[0]!)
else {
  test('a second process is refused while the first one lives, and not once it was killed', async () => {
    const folder = temporaryFolder()
    let refused: Promise<Error> | undefined
    const end = await runAgain([folder], {
      onOutput: (stdout, child) => {
        if (!stdout.includes('locked;') || refused) return
        refused = thrown(() => lockRunFolder(folder))
        void refused.then(() => child.kill('SIGKILL'))
      },
    })
    assert.is(end.signal, 'SIGKILL', end.stderr)
    const { message } = await refused!
    assert.match(
      message,
      new RegExp(`^${folder} is in use by process \\d+; if that has ended, remove`),
    )
    assert.ok(existsSync(path.join(folder, 'lock')), 'a killed process leaves its lock')
    const unlock = await lockRunFolder(folder)
    assert.match(readFileSync(path.join(folder, 'lock'), 'utf8'), `"pid":${process.pid}`)
    await unlock()
    assert.not.ok(existsSync(path.join(folder, 'lock')))
  })

  test('a half-written lock and one of a process number that was given again are taken over', async () => {
    const folder = temporaryFolder()
    const again = JSON.stringify({ pid: process.pid, host: hostname(), began: '1' })
    for (const left of ['', '{"pid":', again]) {
      writeFileSync(path.join(folder, 'lock'), left)
      await (await lockRunFolder(folder))()
    }
    const elsewhere = JSON.stringify({ pid: 1, host: 'elsewhere', began: '1' })
    writeFileSync(path.join(folder, 'lock'), elsewhere)
    const { message } = await thrown(() => lockRunFolder(folder))
    assert.match(message, 'in use by process 1 on elsewhere')
  })

  test.run()
}
