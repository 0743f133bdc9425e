import type { ParseArgsConfig } from 'node:util'
import type { Streams, Terminal } from './terminal.ts'

/** 0: done. 1: failed. 2: wrong use or bad configuration. */
export type ExitCode = 0 | 1 | 2

/** What a command is given; it looks at nothing else of the process. */
export interface Invocation {
  readonly flags: Readonly<Record<string, unknown>>
  readonly positionals: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  readonly streams: Streams
  readonly terminal: Terminal
  /** Unix seconds. */
  nowSeconds(): number
  /** From the call on, a signal to stop no longer ends the process but fulfils the promise. */
  waitForStop(): Promise<void>
}

export interface Command {
  help(): string
  /** Besides `--help`, which each has. */
  readonly options?: NonNullable<ParseArgsConfig['options']>
  readonly takesPositionals?: boolean
  run(invocation: Invocation): Promise<ExitCode>
}

/** A command in the table; its module is loaded only when it is called. */
export interface CommandRow {
  /** One word or two: `serve`, `device add`. */
  readonly name: string
  readonly summary: string
  load(): Promise<Command>
}
