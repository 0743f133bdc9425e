/** Why a command cannot do what it was asked; nothing has changed then, unless it says so. */
export class CommandError extends Error {
  /** 1: it failed. 2: it was asked in a way that cannot be. */
  readonly exitCode: 1 | 2
  readonly problems: readonly string[]

  constructor(problems: string | readonly string[], exitCode: 1 | 2 = 1) {
    const lines = typeof problems === 'string' ? [problems] : problems
    super(lines.join('\n'))
    this.name = 'CommandError'
    this.problems = lines
    this.exitCode = exitCode
  }
}
