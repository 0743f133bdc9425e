import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/**
 * Fills or refills a folder as the kubelet does with a Secret: the files are in a new folder, the
 * link `..data` is switched to it in one step, and each file is a link through it. Folders for
 * other volumes, which are mounted inside, stay.
 */
export function projectSecret(folder: string, files: ReadonlyMap<string, Buffer>): void {
  mkdirSync(folder, { recursive: true })
  const payload = `..${process.hrtime.bigint()}`
  mkdirSync(join(folder, payload))
  for (const [name, content] of files) writeFileSync(join(folder, payload, name), content)
  const data = join(folder, '..data')
  const before = readIfLink(data)
  symlinkSync(payload, `${data}_tmp`)
  renameSync(`${data}_tmp`, data)
  const links = readdirSync(folder, { withFileTypes: true }).filter(
    (entry) => entry.isSymbolicLink() && entry.name !== '..data',
  )
  const names = new Set(links.map(({ name }) => name))
  for (const name of files.keys()) {
    if (!names.has(name)) symlinkSync(join('..data', name), join(folder, name))
  }
  for (const name of names) if (!files.has(name)) rmSync(join(folder, name))
  if (before !== undefined) rmSync(join(folder, before), { recursive: true })
}

function readIfLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
