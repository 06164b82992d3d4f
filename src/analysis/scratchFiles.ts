import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/**
 * Files in the system's folder for temporary ones. One that is given back is taken again: the system
 * then has its pages already.
 */
export class ScratchFiles {
  /** Folders by the descriptor of the file in them. */
  readonly #folders = new Map<number, string>()
  readonly #free: number[] = []

  /** The descriptor of a file to read and write; what the file holds is undefined. */
  take(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const folder = mkdtempSync(path.join(tmpdir(), 'gramgrad-features-'))
    const file = openSync(path.join(folder, 'features.f32'), 'w+')
    this.#folders.set(file, folder)
    // An open file outlives its name here, so that a process that is killed leaves nothing behind.
    if (process.platform !== 'win32') remove(folder)
    return file
  }

  /** Takes a file back. */
  give(file: number): void {
    this.#free.push(file)
  }

  /** Closes and deletes all files. */
  close(): void {
    for (const [file, folder] of this.#folders) {
      closeSync(file)
      remove(folder)
    }
    this.#folders.clear()
  }
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}
