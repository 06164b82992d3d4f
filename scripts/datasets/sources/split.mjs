/**
 * Divides the members of each class by a seeded permutation, a fifth of them (rounded) for testing.
 * Both parts keep the order of the members.
 *
 * @param members by class, in a fixed order
 * @param random (step, n) -> a permutation; the step is the class
 */
export function splitClasses(members, random) {
  const train = []
  const test = []
  for (const [label, items] of members.entries()) {
    const order = random(label, items.length)
    const forTest = new Set(order.subarray(0, Math.round(items.length / 5)))
    for (const [i, item] of items.entries()) (forTest.has(i) ? test : train).push({ item, label })
  }
  return { train, test }
}
