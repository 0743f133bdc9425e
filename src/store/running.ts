import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceKey } from './device-registry.ts'
import { MODE, makeFolder, replaceFile } from './files.ts'
import type { Lock } from './lock.ts'
export interface SeenCertificate {
  readonly issuerKeyHash: string
  readonly serial: string
  readonly name: string
  readonly sha256: string | undefined
  readonly notAfter: number | undefined
  readonly certificateAt: number
  readonly sessionAt: number
}
export interface RunningState {
  readonly schemaVersion: 1
  readonly listen: string
  readonly host: string
  readonly version: string
  readonly startedAt: number
  readonly stoppedAt: number | undefined
  readonly crlNumber: string | undefined
  readonly blocksNumber: number
  readonly keySet: string
  readonly lastSeen: readonly SeenCertificate[]
}
export const runningId = (host: string, listen: string): string =>
  createHash('sha256').update(`${host}\0${listen}`).digest('hex').slice(0, 16)
export async function writeRunning(folder: string, id: string, state: RunningState): Promise<void> {
  await makeFolder(folder, MODE.secretFolder)
  await replaceFile(join(folder, `${id}.json`), JSON.stringify(state), MODE.secret)
}
async function states(folder: string): Promise<readonly { state: RunningState; age: number }[]> {
  const names = await readdir(folder).catch(() => [])
  const all = []
  for (const name of names.filter((n) => n.endsWith('.json'))) {
    const path = join(folder, name)
    const state = JSON.parse(await readFile(path, 'utf8')) as RunningState
    all.push({ state, age: (Date.now() - (await stat(path)).mtimeMs) / 1000 })
  }
  return all
}
export async function readLastSeen(folder: string): Promise<ReadonlyMap<string, SeenCertificate>> {
  const joined = new Map<string, SeenCertificate>()
  for (const { state } of await states(folder))
    for (const seen of state.lastSeen) joined.set(deviceKey(seen.issuerKeyHash, seen.serial), seen)
  return joined
}
export async function foldDead(_folder: string, _lock: Lock): Promise<void> {}
export async function awaitRunning(
  folder: string,
  isConfirmed: (state: RunningState) => boolean,
  { timeoutMilliseconds }: { readonly timeoutMilliseconds: number },
) {
  const until = Date.now() + timeoutMilliseconds
  for (;;) {
    const all = await states(folder)
    const fresh = all.filter(({ state, age }) => state.stoppedAt === undefined && age < 30)
    const dead = all.filter(({ state, age }) => state.stoppedAt === undefined && age >= 30)
    const missing = fresh.filter(({ state }) => !isConfirmed(state))
    const names = (list: typeof all) => list.map(({ state }) => state.listen)
    if (missing.length === 0 || Date.now() > until)
      return {
        confirmed: names(fresh.filter(({ state }) => isConfirmed(state))),
        missing: names(missing),
        dead: names(dead),
      }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
