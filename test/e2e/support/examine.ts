import assert from 'node:assert/strict'
import { freePort } from '../../support/free-port.ts'
import { runCommand } from './certlatch.ts'
import { type ProxyKind, startWorld, type World } from './gate.ts'

/** One check of `certlatch doctor --json`. */
export interface Checked {
  readonly name: string
  readonly result: 'ok' | 'warning' | 'failed' | 'not tried'
  readonly obstacle?: string
  readonly detail?: string
  readonly findings: readonly { readonly text: string; readonly hint?: string }[]
}

export interface Report {
  readonly code: number | null
  readonly checks: readonly Checked[]
  readonly requests: number
  readonly stderr: string
}

/** The arguments of `certlatch doctor`. */
export interface Asked {
  readonly url?: string
  readonly args?: readonly string[]
  /** The file for `--server-ca`. */
  readonly trusts?: string
  /** Without it, the URL alone says where the proxy is. */
  readonly connects?: boolean
}

/** With the built-in CA, and an admin listener that commands know. */
export async function newWorld(
  kind: ProxyKind,
  settings: Readonly<Record<string, string>> = {},
): Promise<World> {
  const admin = `127.0.0.1:${await freePort()}`
  return startWorld(kind, 'own', { CERTLATCH_ADMIN_LISTEN: admin, ...settings })
}

/** Runs `certlatch doctor --json` beside a world's data directory, against any port. */
export async function examine(world: World, port: number, asked: Asked = {}): Promise<Report> {
  const { url = 'https://home.example', args = [], connects = true } = asked
  const { code, stdout, stderr } = await runCommand(
    world.certlatch.environment,
    ...['doctor', url, ...(connects ? ['--connect', `127.0.0.1:${port}`] : [])],
    ...['--server-ca', asked.trusts ?? world.pki.serverCertificateFile, '--json', ...args],
  )
  assert.doesNotMatch(stderr, /internal error/)
  assert.notEqual(stdout, '', stderr)
  const { checks, requests } = JSON.parse(stdout)
  return { code, checks, requests, stderr }
}

/** The checks that found a problem. */
export const wrong = ({ checks }: Report): readonly Checked[] =>
  checks.filter(({ result }) => result === 'failed' || result === 'warning')
