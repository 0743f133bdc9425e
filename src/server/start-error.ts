/** Why the service did not start; each problem is one line for a person. */
export class StartError extends Error {
  readonly problems: readonly string[]
  /** Where a signal has ended a process of the service before it served. */
  readonly signal: string | undefined

  constructor(problems: readonly string[], signal?: string) {
    super(problems.join('\n'))
    this.name = 'StartError'
    this.problems = problems
    this.signal = signal
  }
}
