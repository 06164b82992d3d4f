/** What is used of jstat, which brings no types. */
declare module 'jstat' {
  interface Distribution {
    cdf(x: number, ...parameters: number[]): number
    inv(p: number, ...parameters: number[]): number
  }
  const jStat: {
    mean(values: readonly number[]): number
    /** @param isSample whether to divide by n - 1 */
    variance(values: readonly number[], isSample: boolean): number
    readonly studentt: Distribution
    readonly normal: Distribution
  }
  export default jStat
}
