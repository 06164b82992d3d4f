import type { LogitTerms } from './definition.ts'

/** @throws Error naming the loss and the term that is out of range */
export function checkTerms(loss: string, { tau, penalty }: LogitTerms): void {
  if (tau !== undefined && !(tau > 0 && Number.isFinite(tau)))
    throw new Error(`${loss}: tau is ${tau}, expected a number above 0`)
  if (penalty !== undefined && !(penalty >= 0 && Number.isFinite(penalty)))
    throw new Error(`${loss}: penalty is ${penalty}, expected a number of at least 0`)
}
