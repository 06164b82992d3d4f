/**
 * Table 3 of Kornblith, Chen, Lee and Norouzi, "Why Do Better Loss Functions Lead to Less Transferable
 * Features?" (NeurIPS 2021): ImageNet top-1 accuracy (0..1) and class separation R² of the penultimate
 * layer, on ImageNet's training set, means of eight ResNet-50 networks an objective.
 */
const paperTable3: Readonly<Record<string, { top1: number; r2: number }>> = {
  softmax: { top1: 0.77, r2: 0.349 },
  'label-smoothing': { top1: 0.776, r2: 0.42 },
  sigmoid: { top1: 0.779, r2: 0.427 },
  'extra-l2': { top1: 0.777, r2: 0.572 },
  dropout: { top1: 0.775, r2: 0.461 },
  'logit-penalty': { top1: 0.777, r2: 0.601 },
  'logit-norm': { top1: 0.778, r2: 0.517 },
  'cosine-softmax': { top1: 0.779, r2: 0.641 },
  'squared-error': { top1: 0.772, r2: 0.845 },
}

/** The paper's row for an objective, where it has one. */
export function paperRow(objective: string): { top1: number; r2: number } | undefined {
  return Object.hasOwn(paperTable3, objective) ? paperTable3[objective] : undefined
}

/** How its columns are headed wherever they stand beside ours. */
export const paperLabel = 'paper (ImageNet, full width)'
