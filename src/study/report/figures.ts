import type { CkaComparison, StudyResult } from '../studyResult.ts'
import { type Chart, renderSvg } from './chart.ts'
import { ckaHeatMap } from './ckaHeatMap.ts'
import { referenceObjective } from './comparisons.ts'
import { analysed, ckaByLayerFigure, nonZeroFigure, r2Figure } from './layerFigures.ts'
import { objectiveStyles } from './theme.ts'
import { lossFigure, top1Figure } from './trainingFigures.ts'

/** A finished figure: the drawing for a wide page and its files, and the one for a narrow page. */
export interface Figure {
  /** File name without its ending, unique within the report. */
  name: string
  /** What a reader who cannot see it is told. */
  description: string
  wide: string
  narrow: string
}

/** Figures that share a caption. Those of a group of several are shown small, side by side. */
export interface FigureGroup {
  section: 'layers' | 'cka' | 'training'
  title: string
  /** What the picture shows and how it is drawn. */
  caption: string
  figures: Figure[]
}

/** Draws all figures of a study, in the order of the report. */
export async function drawFigures(result: StudyResult): Promise<FigureGroup[]> {
  const styles = objectiveStyles(result.objectives.map(({ name }) => name))
  const images = analysed(result)
  const groups: FigureGroup[] = [
    {
      section: 'layers',
      title: 'Class separation by layer.',
      caption: `R² with cosine distance of every block’s output and of the average pool, on ${images}. Dashed lines separate the stages of the network; the label gives the value in the last layer.`,
      figures: [await draw('r2-by-layer', (compact) => r2Figure(result, styles, compact))],
    },
    {
      section: 'layers',
      title: 'Sparsity by layer.',
      caption: `Share of activations that are not exactly zero, after each block’s last ReLU and in the average pool, on ${images}.`,
      figures: [
        await draw('non-zero-by-layer', (compact) => nonZeroFigure(result, styles, compact)),
      ],
    },
  ]
  if (result.cka.length > 0) groups.push(await heatMaps(result))
  if (result.cka.length > 1) {
    const reference = referenceObjective(result.cka)
    const label = result.objectives.find(({ name }) => name === reference)?.label
    groups.push({
      section: 'cka',
      title: label ? `CKA with ${label} by layer.` : 'CKA between corresponding layers.',
      caption: 'The diagonals of the heat maps above: CKA between the same layer of two networks.',
      figures: [await draw('cka-by-layer', (compact) => ckaByLayerFigure(result, styles, compact))],
    })
  }
  if (result.objectives.some(({ history }) => history.length > 0)) {
    groups.push({
      section: 'training',
      title: 'Training loss by epoch.',
      caption: 'Mean of the objective over each epoch. Heights do not compare across plots.',
      figures: [await draw('training-loss', (compact) => lossFigure(result, styles, compact))],
    })
  }
  if (top1Figure(result, styles, false)) {
    groups.push({
      section: 'training',
      title: 'Top-1 accuracy by epoch.',
      caption: 'Share of held-out images whose highest-ranked class is right.',
      figures: [await draw('top1-by-epoch', (compact) => top1Figure(result, styles, compact)!)],
    })
  }
  return groups
}

async function heatMaps(result: StudyResult): Promise<FigureGroup> {
  const labels = new Map(result.objectives.map(({ name, label }) => [name, label]))
  const taken = new Set<string>()
  const figures: Figure[] = []
  for (const comparison of result.cka) {
    const names = { a: labels.get(comparison.a)!, b: labels.get(comparison.b)! }
    figures.push(
      await draw(fileName(comparison, taken), (compact) => ckaHeatMap(comparison, names, compact)),
    )
  }
  return {
    section: 'cka',
    title: 'CKA between layers.',
    caption:
      'Every layer of one network (rows) against every layer of another (columns); depth grows upwards and to the right. The colour scale is fixed to 0 … 1; the unbiased estimate can fall slightly outside, which the printed and hover values show.',
    figures,
  }
}

/** A name of letters, digits and dashes, whatever the objectives are called. */
function fileName({ a, b }: CkaComparison, taken: Set<string>): string {
  const slug = (text: string) =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
  const base = `cka-${slug(a)}-${slug(b)}`
  let name = base
  for (let i = 2; taken.has(name); i++) name = `${base}-${i}`
  taken.add(name)
  return name
}

/** A figure in both its forms. */
export async function draw(name: string, chart: (compact: boolean) => Chart): Promise<Figure> {
  const wide = chart(false)
  return {
    name,
    description: wide.description,
    wide: await renderSvg(wide, name),
    narrow: await renderSvg(chart(true), `${name}-narrow`),
  }
}
