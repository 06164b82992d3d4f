import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import type { LabelledFeatures } from '../../src/transfer/labelledFeatures.ts'

/** scikit-learn's answers, see reference/makeTransferFixtures.py. */
export interface Answers {
  readonly linear?: {
    readonly lambdas: readonly number[]
    readonly minima: readonly number[]
    readonly accuracies: readonly number[]
    readonly lambda: number
    readonly objective: number
    readonly predictions: readonly number[]
    readonly scikit_learn: {
      readonly objectives: readonly number[]
      readonly accuracies: readonly number[]
      readonly lambda: number
    }
  }
  readonly knn: Readonly<
    Record<
      'euclidean' | 'cosine',
      {
        readonly k: number
        readonly leave_one_out: readonly number[]
        readonly predictions: readonly number[]
      }
    >
  >
}

export async function readFixture(name: string) {
  const file = path.join(packageRoot(), 'test/fixtures/transfer', name)
  const { tensors } = await readSafetensors(`${file}.safetensors`)
  const set = (part: string): LabelledFeatures => {
    const { data, shape } = tensors.get(`${part}_features`)!
    const labels = Uint32Array.from(tensors.get(`${part}_labels`)!.data as Int32Array)
    return { name: `${name} ${part}`, features: data as Float32Array, labels, width: shape[1]! }
  }
  const validation = Uint32Array.from(tensors.get('validation')!.data as Int32Array)
  const answers = JSON.parse(await readFile(`${file}.json`, 'utf8')) as Answers
  return { train: set('train'), test: set('test'), validation, answers }
}
