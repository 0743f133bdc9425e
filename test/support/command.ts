import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Change } from '../../src/administration/change-directory.ts'
import { CommandError } from '../../src/administration/command-error.ts'
import { initialize } from '../../src/administration/initialize.ts'
import type { IssueOptions } from '../../src/administration/issue-certificate.ts'
import { run } from '../../src/cli/main.ts'
import type { AuthorityOptions } from '../../src/store/create-authority.ts'
import { type DataPaths, dataPaths } from '../../src/store/data-directory.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import { openTrustStore } from '../../src/store/trust-store.ts'
import { NOON_SECONDS, temporaryFolder } from './service.ts'

/** A data directory as `certlatch init` creates it, with a folder for packages beside it. */
export interface TestDirectory {
  readonly dataDir: string
  readonly packages: string
  readonly paths: DataPaths
  /** The context of a command called at noon, or so many seconds later. */
  change(laterSeconds?: number): Change
  issue(options?: Partial<IssueOptions>): IssueOptions
}

const EVERYTHING = { authority: true, revocationList: true, sessionKeys: true }

export async function initialized(options: AuthorityOptions = {}): Promise<TestDirectory> {
  const directory = await empty()
  await initialize(directory.dataDir, EVERYTHING, options, NOON_SECONDS)
  return directory
}

/** The same before `certlatch init`. */
export async function empty(): Promise<TestDirectory> {
  const folder = await temporaryFolder()
  const dataDir = join(folder, 'data')
  const packages = join(folder, 'packages')
  return {
    dataDir,
    packages,
    paths: dataPaths(dataDir),
    change: (laterSeconds = 0) => ({
      dataDir,
      who: 'test',
      nowSeconds: NOON_SECONDS + laterSeconds,
    }),
    issue: (given = {}) => ({
      days: 397,
      key: 'p256',
      format: 'pem',
      form: 'modern',
      publicKeyInfo: undefined,
      folder: packages,
      ...given,
    }),
  }
}

/** Returns the problems of a `CommandError` and its hint, a line each. */
export async function problemOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof CommandError) {
      const { problems, hint } = error
      return [...problems, ...(hint === undefined ? [] : [`hint: ${hint}`])].join('\n')
    }
    throw error
  }
  throw new Error('this must fail')
}

/** Everything below a folder, with mode and content; but not that there was a writer. */
export async function treeOf(folder: string): Promise<Readonly<Record<string, string>>> {
  const tree: Record<string, string> = {}
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    if (/(?:^|\/)lock(?:\/|$)/.test(name)) continue
    const path = join(folder, name)
    const found = await stat(path)
    const mode = (found.mode & 0o777).toString(8)
    tree[name] = found.isFile() ? `${mode} ${await readFile(path, 'latin1')}` : mode
  }
  return tree
}

export interface CommandOutcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `certlatch` in this process, at noon or so many seconds later, with what a person types. */
export async function certlatch(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  laterSeconds = 0,
  typed?: readonly string[],
): Promise<CommandOutcome> {
  const stdin = typed && Object.assign(new PassThrough(), { isTTY: true })
  const streams = { stdout: new PassThrough(), stderr: new PassThrough(), ...(stdin && { stdin }) }
  const lines = [...(typed ?? [])]
  // A person types once there is a prompt.
  streams.stderr.on('data', (chunk: Buffer) => {
    const line = /: $/.test(chunk.toString()) ? lines.shift() : undefined
    if (line !== undefined) setImmediate(() => stdin?.write(line))
  })
  const outputs = Promise.all([text(streams.stdout), text(streams.stderr)])
  const nowSeconds = () => NOON_SECONDS + laterSeconds
  const exitCode = await run(argv, environment, streams, () => Promise.resolve(), nowSeconds)
  streams.stdout.end()
  streams.stderr.end()
  const [stdout, stderr] = await outputs
  return { exitCode, stdout, stderr }
}

/** The snapshot that `certlatch serve` would begin with. */
export async function snapshotOf(dataDir: string): Promise<Snapshot> {
  const paths = dataPaths(dataDir)
  const named = (path: string) => ({ path, name: path })
  const opened = await openTrustStore(
    {
      authorities: named(paths.authority),
      revocationLists: named(paths.revocationList),
      sessionKeys: named(paths.sessionKeys),
      devices: named(paths.devices),
      blocks: named(paths.blocks),
      undelivered: named(paths.undelivered),
      policy: undefined,
      staleRevocationList: 'deny',
    },
    { onReplaced: () => {}, onProblem: () => {} },
  )
  if (!opened.ok) throw new Error(opened.problems.join('\n'))
  opened.store.close()
  return opened.store.current
}

/** The names of devices that a service would accept with one of their certificates, sorted. */
export async function lettingIn(dataDir: string): Promise<readonly string[]> {
  const { registry, trust } = await snapshotOf(dataDir)
  const names: string[] = []
  for (const [key, { device, certificate }] of registry?.byCertificate ?? []) {
    const list = trust.revocationLists.get(certificate.issuerKeyHash)
    const isRevoked = list === undefined || list.serials.has(certificate.serial)
    if (!isRevoked && !trust.blocked.has(key) && !trust.revoked.has(key)) names.push(device.name)
  }
  return names.sort()
}
