import { draw } from '../report/figures.ts'
import { isDefined } from '../report/format.ts'
import { covering, index } from '../report/layerFigures.ts'
import { lineFigure } from '../report/lineFigure.ts'
import { epochAxis } from '../report/trainingFigures.ts'
import type { EpochSeparation } from './records.ts'
import type { StudyFigure, Styles } from './studyFigure.ts'
import type { StudySummary } from './summary.ts'

/** R² of the penultimate layer by epoch, on training and on test images (Figure E.4). */
export async function trajectoryFigure(
  summary: StudySummary,
  styles: Styles,
): Promise<StudyFigure | undefined> {
  const all = summary.objectives.flatMap(({ trajectory }) => trajectory.map((at) => at.epoch))
  const epochs = [...new Set(all)].sort((a, b) => a - b)
  const last = epochs.at(-1)
  if (last === undefined) return undefined
  const seriesOf = (split: 'train' | 'test') =>
    summary.objectives.map(({ label, name, trajectory }) => ({
      label,
      style: styles.get(name)!,
      values: epochs.map((epoch) => valueAt(trajectory, epoch, split)),
    }))
  const axis = (compact: boolean) => (width: number) => {
    const { positions, names, ...rest } = epochAxis(last, compact)(width)
    return {
      ...rest,
      positions: epochs.map((epoch) => positions[epoch - 1]!),
      names: epochs.map((epoch) => names[epoch - 1]!),
    }
  }
  const figures = []
  for (const split of ['train', 'test'] as const) {
    const series = seriesOf(split)
    if (!series.some(({ values }) => values.some(isDefined))) continue
    const which = split === 'train' ? 'training' : 'test'
    figures.push(
      await draw(`figure-e4-${split}`, (compact) =>
        lineFigure(
          {
            title: `Class separation over training, ${which} images`,
            subtitle: 'penultimate layer, means over seeds',
            description: `Line chart of R² by epoch on ${which} images, a line for each objective.`,
          },
          series,
          axis(compact),
          covering(index('Class separation R²', compact), series),
          compact,
        ),
      ),
    )
  }
  return {
    title: 'As the paper’s Figure E.4: class separation over training.',
    caption: 'R² of the penultimate layer after the epochs that were looked at.',
    figures,
  }
}

function valueAt(
  trajectory: readonly EpochSeparation[],
  epoch: number,
  split: 'train' | 'test',
): number | null | undefined {
  return trajectory.find((at) => at.epoch === epoch)?.[split]
}
