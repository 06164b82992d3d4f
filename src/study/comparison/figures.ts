import { ckaHeatMap } from '../report/ckaHeatMap.ts'
import { draw } from '../report/figures.ts'
import { formatCount, formatFixed } from '../report/format.ts'
import { covering, index, layerAxis } from '../report/layerFigures.ts'
import { lineFigure } from '../report/lineFigure.ts'
import { objectiveStyles } from '../report/theme.ts'
import { matrixFigure } from './matrixFigure.ts'
import { meanCka, meanInitialCka, pairsOfRuns } from './meanCka.ts'
import { indexAxis, type PointGroup, percentAxis, scatterFigure } from './scatterFigure.ts'
import type { Estimate } from './statistics.ts'
import type { StudyFigure, Styles } from './studyFigure.ts'
import { type ObjectiveSummary, penultimateOf, type StudySummary } from './summary.ts'
import { sweepSeries } from './tables.ts'
import { trajectoryFigure } from './trajectoryFigure.ts'

/** All figures of a study that its finished runs allow, numbered as the paper's. */
export async function studyFigures(summary: StudySummary): Promise<StudyFigure[]> {
  const styles = objectiveStyles(summary.objectives.map(({ name }) => name))
  const figures = [
    await accuracyFigure(summary, styles),
    await layerCkaFigure(summary),
    await objectiveCkaFigure(summary),
    await layerFigure(summary, styles, 'nonZero'),
    await layerFigure(summary, styles, 'r2'),
    await separationFigure(summary, styles),
    await temperatureFigure(summary),
    await trajectoryFigure(summary, styles),
  ]
  return figures.filter((figure) => figure !== undefined)
}

const perCent = (value: number) => 100 * value

function bar(half: Estimate, scale = 1): number {
  return half.se === null ? 0 : half.se * scale
}

/** Runs and their means, mean linear transfer against something. */
function transferPoints(
  objectives: readonly ObjectiveSummary[],
  styles: Styles,
  of: (objective: ObjectiveSummary) => Estimate | null,
  scale: number,
): PointGroup[] {
  return objectives.flatMap((objective) => {
    const x = of(objective)
    const y = objective.meanTransfer.linear
    if (!x || !y) return []
    return {
      label: objective.label,
      style: styles.get(objective.name)!,
      points: x.values.map((value, i) => ({ x: value * scale, y: perCent(y.values[i]!) })),
      mean: { x: x.mean * scale, y: perCent(y.mean), dx: bar(x, scale), dy: bar(y, 100) },
    }
  })
}

function runsNote({ data }: StudySummary): string {
  const sets = [...data.transfer.keys()]
  return `mean over ${sets.join(', ')}; small points: runs, bars: standard error`
}

async function accuracyFigure(
  summary: StudySummary,
  styles: Styles,
): Promise<StudyFigure | undefined> {
  const groups = transferPoints(summary.objectives, styles, ({ top1 }) => top1, 100)
  if (groups.length === 0) return undefined
  const heading = {
    title: 'Linear transfer and accuracy on the task itself',
    subtitle: runsNote(summary),
    description:
      'Scatter plot of mean linear transfer accuracy against top-1 accuracy, by objective.',
  }
  return {
    title: 'As the paper’s Figure 1: accuracy and linear transfer.',
    caption: `Top-1 accuracy on ${summary.data.dataset.name} and mean accuracy of linear probes on other data.`,
    figures: [
      await draw('figure-1', (compact) =>
        scatterFigure(
          heading,
          groups,
          percentAxis('Top-1 accuracy (%)'),
          percentAxis('Linear transfer (%)'),
          compact,
        ),
      ),
    ],
  }
}

async function layerCkaFigure(summary: StudySummary): Promise<StudyFigure | undefined> {
  const pairs = pairsOfRuns(summary)
  const [first] = summary.objectives
  const figures = []
  for (const other of summary.objectives) {
    const found = meanCka(pairs, first!.name, other.name)
    if (!found) continue
    const names = {
      a: first!.label,
      b: other === first ? `${other.label}, other seed` : other.label,
    }
    figures.push(
      await draw(`figure-2a-${other.name}`, (compact) => ckaHeatMap(found, names, compact)),
    )
  }
  const initial = meanInitialCka(first!)
  if (initial) {
    const names = { a: first!.label, b: `${first!.label}, at initialisation` }
    figures.push(
      await draw('figure-2a-initialisation', (compact) => ckaHeatMap(initial, names, compact)),
    )
  }
  if (figures.length === 0) return undefined
  return {
    title: `As the paper’s Figure 2a: CKA between the layers of ${first!.label} and of each objective.`,
    caption:
      'Networks of different seeds, and each network with the one that its training began with, whose batch norm has moments of the training images; means over the seeds.',
    figures,
  }
}

async function objectiveCkaFigure(summary: StudySummary): Promise<StudyFigure | undefined> {
  const pairs = pairsOfRuns(summary)
  const names = summary.objectives.map(({ name }) => name)
  const comparisons = names.map((a) => names.map((b) => meanCka(pairs, a, b)))
  const layers = pairs[0]?.comparison.layersA
  if (!layers) return undefined
  const isLastOfStage = (layer: string, i: number) =>
    layer.split('.')[0] !== layers[i + 1]?.split('.')[0]
  const chosen = layers.flatMap((layer, i) =>
    isLastOfStage(layer, i) || layer.startsWith('layer4') ? [{ layer, i }] : [],
  )
  const figures = []
  for (const { layer, i } of chosen) {
    const values = comparisons.map((row) => row.map((found) => found?.matrix[i]?.[i] ?? null))
    figures.push(
      await draw(`figure-2b-${layer.replace('.', '-')}`, (compact) =>
        matrixFigure(
          {
            title: `CKA in ${layer}`,
            subtitle: 'networks of different seeds, means over the seeds',
            description: `Heat map of CKA in ${layer} between networks of every two objectives.`,
          },
          summary.objectives.map(({ label }) => label),
          values,
          compact,
        ),
      ),
    )
  }
  const { n } = pairs[0]!.comparison
  return {
    title: 'As the paper’s Figure 2b: CKA between corresponding layers of any two objectives.',
    caption: `The last layer of each stage, all of the last stage and the average pool, on ${formatCount(n)} test images. The diagonal compares two seeds of one objective.`,
    figures,
  }
}

async function layerFigure(
  summary: StudySummary,
  styles: Styles,
  quantity: 'r2' | 'nonZero',
): Promise<StudyFigure> {
  const { analysis } = summary.data.study
  const names = summary.objectives[0]!.layers.map(({ name }) => name)
  const scale = quantity === 'r2' ? 1 : 100
  const series = summary.objectives.map(({ label, name, layers }) => ({
    label,
    style: styles.get(name)!,
    values: layers.map((layer) => {
      const found = layer[quantity]
      return found ? found.mean * scale : null
    }),
  }))
  const isSeparation = quantity === 'r2'
  const show = (value: number) => `${formatFixed(value, 1)} %`
  const title = isSeparation ? 'Class separation by layer' : 'Non-zero activations by layer'
  const axis = (compact: boolean) =>
    isSeparation
      ? index('Class separation R²', compact)
      : {
          domain: [0, 100] as [number, number],
          title: 'Non-zero activations (%)',
          format: 'd',
          show,
          showShort: show,
        }
  return {
    title: isSeparation
      ? 'As the paper’s Figure 4: class separation by layer.'
      : 'As the paper’s Figure 3: sparsity by layer.',
    caption: `Means over the seeds, on ${analysis.split === 'train' ? 'training' : 'test'} images of ${summary.data.dataset.name}${isSeparation ? '; convolutional layers are flattened over space' : ', after each block’s last ReLU'}.`,
    figures: [
      await draw(isSeparation ? 'figure-4' : 'figure-3', (compact) =>
        lineFigure(
          {
            title,
            subtitle: `means over seeds${compact ? '' : `; label: value in ${names.at(-1)}`}`,
            description: `Line chart: ${title}, a line for each objective.`,
          },
          series,
          layerAxis(names, compact),
          covering(axis(compact), series),
          compact,
        ),
      ),
    ],
  }
}

function separationPlot(
  name: string,
  heading: Parameters<typeof scatterFigure>[0],
  groups: readonly PointGroup[],
) {
  const [x, y] = [indexAxis('Class separation R²'), percentAxis('Linear transfer (%)')]
  return draw(name, (compact) => scatterFigure(heading, groups, x, y, compact))
}

async function separationFigure(
  summary: StudySummary,
  styles: Styles,
): Promise<StudyFigure | undefined> {
  const groups = transferPoints(summary.objectives, styles, (at) => penultimateOf(at).r2, 1)
  if (groups.length === 0) return undefined
  const heading = {
    title: 'Linear transfer and class separation',
    subtitle: runsNote(summary),
    description: 'Scatter plot of mean linear transfer accuracy against class separation R².',
  }
  return {
    title: 'As the paper’s Figure 5a: class separation and linear transfer.',
    caption: 'R² of the penultimate layer and mean accuracy of linear probes on other data.',
    figures: [await separationPlot('figure-5a', heading, groups)],
  }
}

async function temperatureFigure(summary: StudySummary): Promise<StudyFigure | undefined> {
  const series = sweepSeries(summary).find(({ objective }) => objective === 'cosine-softmax')
  if (!series) return undefined
  const keys = series.points.map(({ value }) => `value ${value}`)
  const styles = objectiveStyles(keys)
  const groups = series.points.flatMap(({ value, summary: at }, i) => {
    const [group] = transferPoints(
      [at],
      new Map([[at.name, styles.get(keys[i]!)!]]),
      (each) => penultimateOf(each).r2,
      1,
    )
    return group ? [{ ...group, label: `${series.key} ${value}` }] : []
  })
  if (groups.length === 0) return undefined
  const heading = {
    title: `${series.label}: class separation and linear transfer by ${series.key}`,
    subtitle: runsNote(summary),
    description: `Scatter plot of linear transfer against R² by ${series.key}.`,
  }
  return {
    title: 'As the paper’s Figure 5b: temperature of cosine softmax.',
    caption: 'The runs of Table 4.',
    figures: [await separationPlot('figure-5b', heading, groups)],
  }
}
