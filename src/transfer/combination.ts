/**
 * Adds a combination of a matrix's rows to a row, eight rows at a time:
 *
 *   row[j] += sum over i of coefficients[i] * matrix[i * stride + j]        for j from `first` on
 *
 * The inner loop of every float64 matrix product here.
 */
export function addCombination(
  row: Float64Array,
  coefficients: Float64Array,
  matrix: Float64Array,
  stride: number,
  first = 0,
): void {
  const rows = coefficients.length
  const { length } = row
  let i = 0
  for (; i + 8 <= rows; i += 8) {
    const a0 = coefficients[i]!
    const a1 = coefficients[i + 1]!
    const a2 = coefficients[i + 2]!
    const a3 = coefficients[i + 3]!
    const a4 = coefficients[i + 4]!
    const a5 = coefficients[i + 5]!
    const a6 = coefficients[i + 6]!
    const a7 = coefficients[i + 7]!
    const at = i * stride
    for (let j = first, m = at + first; j < length; j++, m++)
      row[j]! +=
        a0 * matrix[m]! +
        a1 * matrix[m + stride]! +
        a2 * matrix[m + 2 * stride]! +
        a3 * matrix[m + 3 * stride]! +
        (a4 * matrix[m + 4 * stride]! +
          a5 * matrix[m + 5 * stride]! +
          a6 * matrix[m + 6 * stride]! +
          a7 * matrix[m + 7 * stride]!)
  }
  for (; i < rows; i++) {
    const a = coefficients[i]!
    for (let j = first, m = i * stride + first; j < length; j++, m++) row[j]! += a * matrix[m]!
  }
}
