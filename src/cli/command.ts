import type { ParseArgsConfig } from 'node:util'
import type { Streams, Terminal } from './terminal.ts'

/** 0: success. 1: failure. 2: usage or configuration error. */
export type ExitCode = 0 | 1 | 2

/** Everything that a command may use of the process. */
export interface Invocation {
  /** The command's name, as in its row. */
  readonly command: string
  readonly flags: Readonly<Record<string, unknown>>
  readonly positionals: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  readonly streams: Streams
  readonly terminal: Terminal
  /** Unix seconds. */
  nowSeconds(): number
  /** Once called, a stop signal no longer ends the process but resolves the promise. */
  waitForStop(): Promise<void>
}

/** What the module of a command exports. */
export interface Command {
  /** The text of its `--help`. */
  readonly help: string
  /** In addition to `--help`, which every command has. */
  readonly options?: NonNullable<ParseArgsConfig['options']>
  readonly takesPositionals?: boolean
  run(invocation: Invocation): Promise<ExitCode>
}

/** A row of the command table; the module is loaded only when the command runs. */
export interface CommandRow {
  /** One word or two: `serve`, `device add`. */
  readonly name: string
  readonly summary: string
  load(): Promise<Command>
}
