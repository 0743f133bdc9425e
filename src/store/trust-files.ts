import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { readRegistryFolder } from './device-registry.ts'
import { describeFileError, errorCode } from './files.ts'
import type { PolicySource } from './rules.ts'
import type { Source, Sources } from './snapshot.ts'

/** A file or folder, and how messages call it: with the setting that names it, if one does. */
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
  readonly adopted: NamedPath
  readonly blocks: NamedPath
  readonly undelivered: NamedPath
  /** `undefined`: none is configured. */
  readonly policy: (NamedPath & Pick<PolicySource, 'trustedProxies'>) | undefined
  readonly staleRevocationList: 'deny' | 'allow'
}

/** What the files held; `undefined`: not configured, or not there. */
export interface FileContents {
  readonly authorities: Buffer
  readonly revocationLists: Buffer | undefined
  readonly sessionKeys: Buffer
  /** By the name of the file. */
  readonly devices: ReadonlyMap<string, string> | undefined
  readonly adopted: Buffer | undefined
  readonly blocks: Buffer | undefined
  readonly undelivered: Buffer | undefined
  readonly policy: Buffer | undefined
}

export const filePaths = (files: TrustFiles): readonly (string | undefined)[] =>
  [
    ...[files.authorities, files.revocationLists, files.sessionKeys, files.devices],
    ...[files.adopted, files.blocks, files.undelivered, files.policy],
  ].map((file) => file?.path)

/** What of the files can only close. */
export type ClosingSources = Partial<Pick<Sources, 'revocationLists' | 'blocks'>>

export type ReadSources =
  | { readonly ok: true; readonly sources: Sources }
  /** Those that could be read all the same. */
  | { readonly ok: false; readonly problems: readonly string[]; readonly closing: ClosingSources }

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
  const required = (file: NamedPath | undefined) => attempt(file, readRegularFile)
  const optional = (file: NamedPath) => attempt(file, readIfThere)
  const contents = {
    authorities: await required(files.authorities),
    revocationLists: await required(files.revocationLists),
    sessionKeys: await required(files.sessionKeys),
    adopted: await optional(files.adopted),
    blocks: await optional(files.blocks),
    undelivered: await optional(files.undelivered),
    policy: await required(files.policy),
    devices: await attempt(files.devices, readRegistryFolder),
  }
  const { authorities, sessionKeys } = contents
  if (problems.length > 0 || authorities === undefined || sessionKeys === undefined) {
    const revocationLists = named(files.revocationLists, contents.revocationLists)
    const blocks = named(files.blocks, contents.blocks)
    return { ok: false, problems, closing: { revocationLists, blocks } }
  }
  return { ok: true, sources: await sourcesOf(files, { ...contents, authorities, sessionKeys }) }
}

const named = (file: NamedPath | undefined, content: Buffer | undefined): Source | undefined =>
  file && content && { name: file.name, content }

/** The contents with the names of their files. */
export async function sourcesOf(files: TrustFiles, contents: FileContents): Promise<Sources> {
  const { authorities, sessionKeys, devices } = contents
  const policy = named(files.policy, contents.policy)
  return {
    authorities: { name: files.authorities.name, content: authorities },
    revocationLists: named(files.revocationLists, contents.revocationLists),
    sessionKeys: { name: files.sessionKeys.name, content: sessionKeys },
    devices: files.devices && devices && { name: files.devices.name, files: devices },
    adopted: named(files.adopted, contents.adopted),
    blocks: named(files.blocks, contents.blocks),
    undelivered: named(files.undelivered, contents.undelivered),
    policy: files.policy && policy && { ...files.policy, ...policy, parse: await policyParser() },
  }
}

export const contentsOf = (sources: Sources): FileContents => ({
  authorities: sources.authorities.content,
  revocationLists: sources.revocationLists?.content,
  sessionKeys: sources.sessionKeys.content,
  devices: sources.devices?.files,
  adopted: sources.adopted?.content,
  blocks: sources.blocks?.content,
  undelivered: sources.undelivered?.content,
  policy: sources.policy?.content,
})

export async function policyParser(): Promise<PolicySource['parse']> {
  return (await import('../policy/parse.ts')).parsePolicy
}

/** What is no regular file (a pipe) might never end. */
export async function readRegularFile(path: string): Promise<Buffer> {
  if (!(await stat(path)).isFile()) throw Object.assign(new Error(path), { code: 'EISDIR' })
  return await readFile(path)
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readRegularFile(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Equal for two readings exactly if they found the same. */
export function digest(read: ReadSources): string {
  const parts = read.ok ? partsOf(contentsOf(read.sources)) : closingParts(read)
  const joined = createHash('sha256')
  for (const part of parts) joined.update(`${part.length}:`).update(part)
  return joined.digest('base64')
}

const closingParts = ({ problems, closing }: Extract<ReadSources, { ok: false }>) => [
  ...problems,
  ...optionalParts([closing.revocationLists?.content, closing.blocks?.content]),
]

/** What is missing must differ from what is empty, and each from its neighbour. */
const optionalParts = (contents: readonly (Buffer | undefined)[]): readonly (Buffer | string)[] =>
  contents.flatMap((content) => (content === undefined ? ['-'] : ['+', content]))

function partsOf(contents: FileContents): readonly (Buffer | string)[] {
  const { authorities, revocationLists, sessionKeys, devices, policy } = contents
  const { adopted, blocks, undelivered } = contents
  const optional = optionalParts([revocationLists, adopted, blocks, undelivered, policy])
  return [authorities, sessionKeys, ...optional, ...[...(devices ?? [])].flat()]
}
