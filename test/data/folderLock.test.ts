import { existsSync } from 'node:fs'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FolderInUseError, lockFolder } from '../../src/data/folderLock.ts'
import { runAgain, scenario } from '../childProcess.ts'
import { thrown } from '../thrown.ts'
import { temporaryFolder } from './temporaryFolder.ts'

const [task, folderOfChild] = scenario

/** Adds one to a number in a file, without care; only a lock makes that right. */
async function increment(folder: string): Promise<void> {
  for (;;) {
    try {
      const unlock = await lockFolder(folder)
      const marks = (await readdir(folder)).filter((name) => name.startsWith('mark'))
      await setTimeout(5)
      await writeFile(path.join(folder, `mark${marks.length}`), '')
      await unlock()
      return
    } catch (error) {
      if (!(error instanceof FolderInUseError)) throw error
      await setTimeout(10)
    }
  }
}

if (task === 'hold') {
  await lockFolder(folderOfChild!)
  console.log('held')
  await setTimeout(60_000)
} else if (task === 'count') {
  for (let i = 0; i < 5; i++) await increment(folderOfChild!)
} else {
  test('a folder is made where missing, locked once, and free after the release', async () => {
    const folder = path.join(temporaryFolder(), 'new')
    const unlock = await lockFolder(folder)
    const error = await thrown(() => lockFolder(folder))
    assert.instance(error, FolderInUseError)
    assert.is(error.message, `${folder} is in use by process ${process.pid} on ${hostname()}`)
    await unlock()
    await (await lockFolder(folder))()
    assert.equal(await readdir(folder), [], 'nothing stays')
  })

  test('the lock of a process that was killed is taken over at once', async () => {
    const folder = temporaryFolder()
    const end = await runAgain(['hold', folder], {
      onOutput: (_, child) => child.kill('SIGKILL'),
    })
    assert.is(end.signal, 'SIGKILL')
    assert.ok(existsSync(path.join(folder, 'lock')))
    await (await lockFolder(folder))()
  })

  test('a lock from another machine holds while it is touched, and ends when it is not', async () => {
    const folder = temporaryFolder()
    const lock = path.join(folder, 'lock')
    await mkdir(lock)
    await writeFile(path.join(folder, 'lock.json'), JSON.stringify({ pid: 1, host: 'elsewhere' }))
    assert.match((await thrown(() => lockFolder(folder))).message, 'process 1 on elsewhere')
    const minuteAgo = new Date(Date.now() - 60_000)
    await utimes(lock, minuteAgo, minuteAgo)
    await (await lockFolder(folder))()
  })

  test('processes that take turns never hold it together, also after one was killed', async () => {
    const folder = temporaryFolder()
    await runAgain(['hold', folder], { onOutput: (_, child) => child.kill('SIGKILL') })
    const ends = await Promise.all([1, 2, 3].map(() => runAgain(['count', folder])))
    assert.equal(
      ends.map(({ code }) => code),
      [0, 0, 0],
    )
    const marks = (await readdir(folder)).filter((name) => name.startsWith('mark'))
    assert.is(marks.length, 15, 'two at once would have written the same mark')
  })

  test.run()
}
