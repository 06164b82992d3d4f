// The inputs of all engines: element i of array `seed` is a hash of both, uniform in [-0.5, 0.5), so that
// engines in any language make the same. torchWorker.py has the same three lines.

/** Murmur3's finaliser over i and seed, as a float. */
function element(i, seed) {
  let h = (i ^ Math.imul(seed, 0x9e3779b1)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32 - 0.5
}

/** @returns Float32Array in row-major order of `shape` */
export function values(shape, seed) {
  const length = shape.reduce((a, b) => a * b, 1)
  return Float32Array.from({ length }, (_, i) => element(i, seed))
}

/** Row-major values of shape [a, b, c, d] in the order of axes `order`. */
export function permuted(data, shape, order) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const [sizes, steps] = [order.map((axis) => shape[axis]), order.map((axis) => strides[axis])]
  const out = new Float32Array(data.length)
  let at = 0
  for (let i = 0; i < sizes[0]; i++)
    for (let j = 0; j < sizes[1]; j++)
      for (let k = 0; k < sizes[2]; k++)
        for (let l = 0; l < sizes[3]; l++)
          out[at++] = data[i * steps[0] + j * steps[1] + k * steps[2] + l * steps[3]]
  return out
}

/** Sum of squares in double precision: the same in every layout, so that engines can be compared. */
export function sumOfSquares(data) {
  let sum = 0
  for (const value of data) sum += value * value
  return sum
}
