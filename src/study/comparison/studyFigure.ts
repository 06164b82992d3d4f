import type { FigureGroup } from '../report/figures.ts'
import type { objectiveStyles } from '../report/theme.ts'

/** Colour and shape of each objective, by name. */
export type Styles = ReturnType<typeof objectiveStyles>

/** A figure of the paper, from this study's runs; `section` is not used. */
export type StudyFigure = Omit<FigureGroup, 'section'>
