import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasProgram, pinned } from './processes.ts'

const run = promisify(execFile)

/** What the generator saw; times in milliseconds. */
export interface Slice {
  readonly requests: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  /** Answers with a status above 399. */
  readonly refused: number
  /** Connections that failed. */
  readonly broken: number
}

export interface TimedSlice extends Slice {
  /** Milliseconds of each request, in the order of the answers. */
  readonly latencies: readonly number[]
}

const CONNECTIONS = 48
const GENERATOR_CORE = 1
const SCRIPT = join(import.meta.dirname, '../../../test/bench/wrk.lua')

export interface Generator {
  /** For the report. */
  readonly name: string
  /** Keeps 48 connections busy; `requests` is a file of whole requests, separated by NUL. */
  load(port: number, requests: string, seconds: number): Promise<Slice>
}

/** wrk if it is there, else a small one of our own. */
export async function findGenerator(): Promise<Generator> {
  if (!(await hasProgram('wrk'))) {
    const script = join(import.meta.dirname, 'generator.js')
    return {
      name: 'a generator of its own (wrk is not on the PATH, so the bare server is underrated)',
      load: (port, requests, seconds) =>
        measure([process.execPath, script, port, requests, CONNECTIONS, seconds]),
    }
  }
  // `wrk -v` prints its version and fails.
  const banner = await run('wrk', ['-v']).catch((error) => error)
  const version = /wrk (?:debian\/)?([\d.]+)/.exec(String(banner.stdout))?.[1] ?? 'unknown'
  return {
    name: `wrk ${version}, 1 thread, ${CONNECTIONS} connections`,
    load: (port, requests, seconds) => {
      const options = ['-t', 1, '-c', CONNECTIONS, '-d', seconds, '-s', SCRIPT]
      return measure(['wrk', ...options, `http://127.0.0.1:${port}`, '--', requests])
    },
  }
}

/**
 * Latency at a fixed rate, after a lead-in that does not count, by a generator of our own: wrk's only
 * load is as much as goes.
 */
export const loadAtRate = (
  port: number,
  requests: string,
  perSecond: number,
  seconds: number,
  leadInSeconds = 0,
): Promise<TimedSlice> => {
  const script = join(import.meta.dirname, 'open-loop.js')
  return measure([process.execPath, script, port, requests, perSecond, seconds, leadInSeconds])
}

async function measure<T extends Slice>(command: readonly (string | number)[]): Promise<T> {
  const [program = '', ...rest] = await pinned(GENERATOR_CORE, command.map(String))
  // All latencies of a slice are in it.
  const { stdout } = await run(program, rest, { maxBuffer: 64 << 20 })
  const line = stdout.split('\n').find((text) => text.startsWith('{'))
  if (line === undefined) throw new Error(`the generator printed no result:\n${stdout}`)
  return JSON.parse(line)
}
