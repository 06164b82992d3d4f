import type { Progress, TaskProgress } from './progress.ts'

/** Bars by name, each made when it is first heard of. */
export class Tasks {
  readonly #tasks = new Map<string, TaskProgress>()

  constructor(private readonly progress: Progress) {}

  update(name: string, done: number, total: number, unit: string, note?: string): void {
    let task = this.#tasks.get(name)
    if (!task) {
      task = this.progress.task(name, total, unit)
      this.#tasks.set(name, task)
    }
    task.update(done, note)
    if (done === total) {
      task.end()
      this.#tasks.delete(name)
    }
  }
}
