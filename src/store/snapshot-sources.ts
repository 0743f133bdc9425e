import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { Problems, Result } from '../result.ts'
import { readRegistryFolder } from './device-registry.ts'
import { describeFileError, ifThere } from './files.ts'
import { fileError } from './folder.ts'
import type { PolicySource } from './policy-file.ts'
import type { Source, Sources } from './snapshot.ts'

/** A file or folder, and its name in messages: with the setting that names it, if one does. */
interface NamedPath {
  readonly path: string
  readonly name: string
}

/** Which files make a snapshot. */
export interface TrustFiles {
  readonly authorities: NamedPath
  /** `undefined`: none is configured. */
  readonly revocationLists: NamedPath | undefined
  readonly sessionKeys: NamedPath
  /** `undefined` with an external CA. */
  readonly devices: NamedPath | undefined
  /** Files that need not be there. */
  readonly blocks: NamedPath
  readonly undelivered: NamedPath
  /** `undefined`: none is configured. */
  readonly policy: (NamedPath & Pick<PolicySource, 'trustedProxies'>) | undefined
  readonly staleRevocationList: 'deny' | 'allow'
}

export const filePaths = (files: TrustFiles): readonly (string | undefined)[] =>
  [
    ...[files.authorities, files.revocationLists, files.sessionKeys, files.devices],
    ...[files.blocks, files.undelivered, files.policy],
  ].map((file) => file?.path)

/** The files that can only revoke access. */
export type RevokingSources = Partial<Pick<Sources, 'revocationLists' | 'blocks'>>

/** `revoking`: the revoking files that could be read nevertheless. */
export type ReadSources = Result<{ sources: Sources }, Problems & { revoking: RevokingSources }>

export async function readSources(files: TrustFiles): Promise<ReadSources> {
  const problems: string[] = []
  const attempt = async <T>(
    file: NamedPath | undefined,
    read: (path: string) => Promise<T>,
  ): Promise<T | undefined> => {
    try {
      return file && (await read(file.path))
    } catch (error) {
      problems.push(`${file?.name} ${describeFileError(error)}`)
      return undefined
    }
  }
  const required = async (file: NamedPath | undefined) =>
    named(file, await attempt(file, readRegularFile))
  const optional = async (file: NamedPath) =>
    named(file, await attempt(file, (path) => ifThere(readRegularFile(path))))
  const authorities = await required(files.authorities)
  const revocationLists = await required(files.revocationLists)
  const sessionKeys = await required(files.sessionKeys)
  const blocks = await optional(files.blocks)
  const undelivered = await optional(files.undelivered)
  const policy = await required(files.policy)
  const devices = await attempt(files.devices, readRegistryFolder)
  if (problems.length > 0 || authorities === undefined || sessionKeys === undefined) {
    return { ok: false, problems, revoking: { revocationLists, blocks } }
  }
  const sources: Sources = {
    authorities,
    revocationLists,
    sessionKeys,
    blocks,
    undelivered,
    devices: files.devices && devices && { name: files.devices.name, files: devices },
    policy: files.policy && policy && { ...files.policy, ...policy, parse: await policyParser() },
  }
  return { ok: true, sources }
}

const named = (file: NamedPath | undefined, content: Buffer | undefined): Source | undefined =>
  file && content && { name: file.name, content }

export async function policyParser(): Promise<PolicySource['parse']> {
  return (await import('../policy/parse.ts')).parsePolicy
}

/** Refuses anything but a regular file: reading a pipe might never end. */
export async function readRegularFile(path: string): Promise<Buffer> {
  if (!(await stat(path)).isFile()) throw fileError('EISDIR', path)
  return await readFile(path)
}

/** Equal for two readings if and only if they found the same. */
export function digest(read: ReadSources): string {
  const sources: Partial<Sources> = read.ok ? read.sources : read.revoking
  const { authorities, revocationLists, sessionKeys, blocks, undelivered, policy } = sources
  const parts = [
    ...(read.ok ? [] : read.problems),
    // A missing file must differ from an empty one, and each from its neighbor.
    ...[authorities, revocationLists, sessionKeys, blocks, undelivered, policy].flatMap((source) =>
      source === undefined ? ['-'] : ['+', source.content],
    ),
    ...[...(sources.devices?.files ?? [])].flat(),
  ]
  const joined = createHash('sha256')
  for (const part of parts) joined.update(`${part.length}:`).update(part)
  return joined.digest('base64')
}
