// Loaded before a program by `node --import`: counts what it changes on disk, and strikes at one call.
import { constants, writeFileSync } from 'node:fs'
import fileSystem from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { getSystemErrorName } from 'node:util'

type Call = (this: unknown, ...values: unknown[]) => unknown

const { FAULT_AT, FAULT_KIND = 'kill', FAULT_COUNT_FILE } = process.env
const ERRNO: Readonly<Record<string, number>> = { EIO: -5, ENOSPC: -28, EROFS: -30 }

const FUNCTIONS = [
  'appendFile',
  'chmod',
  'chown',
  'copyFile',
  'cp',
  'link',
  'mkdir',
  'mkdtemp',
  'rename',
  'rm',
  'rmdir',
  'symlink',
  'truncate',
  'unlink',
  'utimes',
  'writeFile',
] as const
const METHODS = [
  'appendFile',
  'chmod',
  'chown',
  'datasync',
  'sync',
  'truncate',
  'utimes',
  'write',
  'writeFile',
  'writev',
] as const

let calls = 0

/** To be called before each change; does not return if it is the one to fail. */
async function strike(syscall: string, path: unknown): Promise<void> {
  calls += 1
  if (calls !== Number(FAULT_AT)) return
  if (FAULT_KIND === 'kill') {
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  }
  const errno = ERRNO[FAULT_KIND]
  if (errno === undefined) throw new Error(`unknown FAULT_KIND ${FAULT_KIND}`)
  const message = `${getSystemErrorName(errno)}: by fault injection, ${syscall} '${String(path)}'`
  const facts = { errno, code: FAULT_KIND, syscall }
  throw Object.assign(new Error(message), typeof path === 'string' ? { ...facts, path } : facts)
}

/** A lock's sign of life comes when its time comes: counting it would make counts differ. */
const isHeartbeat = (name: string, path: unknown): boolean =>
  name === 'utimes' && /(?:^|[\\/])(?:lock|proc[\\/]self[\\/]fd)[\\/]\d+$/.test(String(path))

function isForWriting(flags: unknown): boolean {
  if (typeof flags !== 'number') return /[aw+]/.test(String(flags ?? 'r'))
  return (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT)) !== 0
}

/** Wraps some calls of an object, so that `before` comes before each. */
function wrap(
  object: object,
  names: readonly string[],
  before: (name: string, self: unknown, values: readonly unknown[]) => Promise<void>,
): void {
  const table = object as Record<string, Call>
  for (const name of names) {
    const original = table[name]
    if (original === undefined) continue
    table[name] = async function (this: unknown, ...values) {
      await before(name, this, values)
      return await original.apply(this, values)
    }
  }
}

const probe = await fileSystem.open(new URL(import.meta.url))
const prototype: object = Object.getPrototypeOf(probe)
await probe.close()

wrap(fileSystem, FUNCTIONS, async (name, _self, [path]) => {
  if (!isHeartbeat(name, path)) await strike(name === 'writeFile' ? 'open' : name, path)
})
wrap(prototype, METHODS, (name) => strike(name, undefined))

const open = fileSystem.open as Call
const openCounted: Call = async (path, flags, mode) => {
  if (!isForWriting(flags)) return open(path, flags, mode)
  await strike('open', path)
  const handle = (await open(path, flags, mode)) as { close: Call }
  // This one method is each handle's own, not its prototype's.
  const close = handle.close
  handle.close = async () => {
    try {
      await strike('close', undefined)
    } finally {
      // A file that could not be closed well is closed all the same.
      await close.call(handle)
    }
  }
  return handle
}
Object.assign(fileSystem, { open: openCounted })
syncBuiltinESMExports()

process.on('exit', () => {
  if (FAULT_COUNT_FILE !== undefined) writeFileSync(FAULT_COUNT_FILE, String(calls))
})
