import { constants } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { type Added, takeBackAdded } from '../administration/add-device.ts'
import type { Change } from '../administration/change-directory.ts'
import { CommandError, usageError } from '../administration/command-error.ts'
import type { Config } from '../config/config.ts'
import { dataPaths } from '../store/data-directory.ts'
import { isAllowed } from '../store/files.ts'
import { textFlag } from './arguments.ts'
import type { Invocation } from './command.ts'
import { day, fingerprint, jsonOf, shellWord } from './format.ts'
import { isWritten } from './terminal.ts'

/** Where a package is written. */
export interface PackagePlace {
  /** `undefined`: it is printed to standard output. */
  readonly folder: string | undefined
  /** How to copy it out of the container that this runs in; `undefined` outside one. */
  readonly container: Container | undefined
}

/** The program that copies from a container and runs commands in it, and the container's name. */
interface Container {
  readonly program: 'docker compose' | 'docker' | 'podman'
  readonly name: string
}

/** A container's host name is its short id, unless another was chosen. */
const SHORT_ID = /^[0-9a-f]{12}$/

/** Podman sets the variable `container`, systemd reads it, and the image of certlatch sets it. */
function containerOf(
  { environment }: Invocation,
  { composeService }: Config,
): Container | undefined {
  if (composeService !== undefined) return { program: 'docker compose', name: composeService }
  const { container } = environment
  if (container !== 'docker' && container !== 'podman') return undefined
  return { program: container, name: SHORT_ID.test(hostname()) ? hostname() : 'CONTAINER' }
}

/**
 * Returns the folder that was named, or the current one; a container that can write only to its
 * volumes uses a folder in the data directory.
 */
export async function packagePlaceOf(
  invocation: Invocation,
  config: Config,
): Promise<PackagePlace> {
  const out = textFlag(invocation, 'out')
  const container = containerOf(invocation, config)
  if (out === '') throw usageError('--out is empty: expected a folder, or -')
  if (out === '-' && invocation.flags['json'] === true) {
    throw usageError('--json does not go with --out -: the package goes there')
  }
  if (out === '-') return { folder: undefined, container }
  if (out !== undefined) return { folder: out.replace(/(?<=.)\/+$/, ''), container }
  const isReadOnly = container !== undefined && !(await isAllowed('.', constants.W_OK))
  const folder = isReadOnly ? join(dataPaths(config.dataDir).privateFolder, 'packages') : '.'
  return { folder, container }
}

/**
 * Prints what was issued, with the password, which appears nowhere else. Returns whether it could be
 * written.
 */
export async function handOut(
  invocation: Invocation,
  added: Added,
  place: PackagePlace,
): Promise<boolean> {
  const { terminal, streams, flags } = invocation
  const { device, certificate, password } = added
  const path = added.package.path?.replace(/^\.\//, '')
  if (path === undefined) {
    if (!(await isWritten(streams.stdout, added.package.content))) return false
    const secret = password === undefined ? '' : `password  ${password}\n`
    terminal.note(described(added))
    return isWritten(streams.stderr, secret)
  }
  if (flags['json'] === true) {
    const made = {
      device: { id: device.id, name: device.name, owner: device.owner },
      certificate: {
        serial: certificate.serial,
        notBefore: certificate.notBefore,
        notAfter: certificate.notAfter,
        sha256: fingerprint(certificate.der, 'sha256'),
      },
      package: resolve(path),
      password,
    }
    return isWritten(streams.stdout, `${jsonOf(made)}\n`)
  }
  const lines = [described(added), `package   ${path}`]
  if (password !== undefined) lines.push(`password  ${password}`)
  if (!(await isWritten(streams.stdout, `${lines.join('\n')}\n`))) return false
  noteNextSteps(invocation, path, password, place)
  return true
}

/** Rolls back an issuance whose output could not be written, then throws. */
export async function rollBackIssue(change: Change, added: Added): Promise<never> {
  await takeBackAdded(change, added)
  throw new CommandError(
    'the result could not be written to standard output, so the password is lost: the certificate was taken back',
  )
}

const described = ({ device, certificate }: Added): string =>
  `"${device.name}" has access until ${day(certificate.notAfter)}${device.owner === undefined ? '' : ` as ${device.owner}`}`

function noteNextSteps(
  { terminal }: Invocation,
  path: string,
  password: string | undefined,
  { container }: PackagePlace,
): void {
  if (password !== undefined) {
    terminal.note('the password is not stored: enter it when you import the package')
  }
  if (container !== undefined) {
    const { program, name } = container
    const place = resolve(path)
    const whose = name === 'CONTAINER' ? ` (CONTAINER is its name in ${program} ps)` : ''
    terminal.note(`next, outside the container${whose}: copy the package out, and delete it inside`)
    terminal.print(`${program} cp ${shellWord(`${name}:${place}`)} .`)
    terminal.print(`${program} exec ${name} rm ${shellWord(place)}`)
    return
  }
  terminal.note('next: copy the package to the device, import it, and delete it here')
}
