/** Data sets of the paper's Table 1, in its order. */
const paperSets = 8

/**
 * Table 1 of Kornblith et al. 2021: top-1 or mean per-class accuracy
 * of linear and nearest-neighbour transfer to Food-101, CIFAR-10, CIFAR-100, Birdsnap, SUN397, Cars,
 * Pets and Flowers; per cent, means of eight networks.
 */
const table1: Readonly<Record<string, { linear: number[]; knn: number[] }>> = {
  softmax: {
    linear: [74.6, 92.4, 76.9, 55.4, 62.0, 60.3, 92.0, 94.0],
    knn: [60.9, 88.8, 67.4, 38.4, 53.0, 28.9, 88.8, 83.6],
  },
  'label-smoothing': {
    linear: [72.7, 91.6, 75.2, 53.6, 61.6, 54.8, 92.9, 91.9],
    knn: [59.2, 88.3, 66.3, 39.2, 53.5, 27.3, 91.5, 80.3],
  },
  sigmoid: {
    linear: [73.4, 91.7, 75.7, 52.3, 62.0, 56.1, 92.5, 92.9],
    knn: [58.5, 88.2, 66.6, 34.4, 52.8, 26.7, 90.8, 81.5],
  },
  'extra-l2': {
    linear: [70.6, 91.0, 73.7, 51.5, 60.1, 50.3, 92.4, 89.8],
    knn: [55.0, 87.7, 65.0, 36.2, 51.1, 24.4, 90.9, 75.6],
  },
  dropout: {
    linear: [72.6, 91.4, 75.0, 53.6, 61.2, 54.7, 92.6, 92.1],
    knn: [58.4, 88.2, 66.4, 38.1, 52.4, 27.8, 91.1, 80.1],
  },
  'logit-penalty': {
    linear: [68.1, 90.2, 72.3, 48.1, 59.0, 48.3, 92.3, 86.6],
    knn: [52.5, 86.5, 62.9, 31.0, 49.3, 22.4, 90.8, 68.1],
  },
  'logit-norm': {
    linear: [66.3, 90.5, 72.9, 50.7, 58.1, 45.4, 92.0, 82.9],
    knn: [50.9, 86.6, 63.1, 35.1, 45.8, 24.1, 88.2, 63.1],
  },
  'cosine-softmax': {
    linear: [62.0, 89.9, 71.3, 45.4, 55.0, 36.7, 91.1, 75.3],
    knn: [45.5, 86.0, 61.5, 28.8, 41.8, 19.0, 87.0, 52.7],
  },
  'squared-error': {
    linear: [39.8, 82.2, 56.3, 21.8, 39.9, 15.3, 84.7, 46.7],
    knn: [27.7, 74.5, 44.3, 13.8, 28.6, 9.1, 82.6, 28.2],
  },
}

/** The paper's mean accuracy over its eight transfer sets, 0..1, where it has the objective. */
export function paperTransfer(objective: string, method: 'linear' | 'knn'): number | undefined {
  if (!Object.hasOwn(table1, objective)) return undefined
  return table1[objective]![method].reduce((sum, value) => sum + value, 0) / paperSets / 100
}

/** Table 4: 100 R² of cosine softmax by its temperature. */
const table4: ReadonlyMap<number, number> = new Map([
  [0.01, 23.6],
  [0.02, 35.8],
  [0.03, 47.5],
  [0.04, 56.2],
  [0.05, 63.4],
  [0.06, 69.3],
  [0.07, 73.8],
  [0.08, 77],
])

/** The paper's R² of cosine softmax at a temperature, where it has it. */
export function paperTemperatureR2(tau: number): number | undefined {
  const found = table4.get(tau)
  return found === undefined ? undefined : found / 100
}
