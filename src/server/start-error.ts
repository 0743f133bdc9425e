/** The service could not start. Each problem is one line to print. */
export class StartError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'StartError'
    this.problems = problems
  }
}
