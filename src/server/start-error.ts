/** Why the service did not start; each problem is one line for a person. */
export class StartError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'StartError'
    this.problems = problems
  }
}
