import { X509Certificate } from 'node:crypto'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { CommandError, usageError } from '../../administration/command-error.ts'
import {
  beginDoctorDevice,
  finishDoctorDevice,
  revokeDoctorDevice,
} from '../../administration/doctor-device.ts'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { createClient, LIMITS } from '../../doctor/client.ts'
import type { Door } from '../../doctor/door.ts'
import type { Here } from '../../doctor/facts.ts'
import {
  countOutcomes,
  describeOutcomes,
  outcomeLines,
  raisedLine,
  summaryLine,
} from '../../doctor/report.ts'
import { runChecks } from '../../doctor/run.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { errorCode, isAllowed } from '../../store/files.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { changeOf, ownSettingsOf, signingChangeOf } from '../command-context.ts'
import {
  askedChecks,
  doorOf,
  type GivenCertificate,
  givenCertificate,
} from '../doctor/door-arguments.ts'
import { readHere } from '../doctor/here.ts'

export const help = `Usage: certlatch doctor URL [--connect HOST:PORT] [--server-ca FILE]
         [--certificate FILE --key FILE] [--application URL] [--only NAME,…] [--json]

Tests the deployment from outside, as a browser with a certificate and as an attacker without one, and
says for each problem what to change, in the terms of the proxy that it finds. The application is not
changed: at most 300 GET, HEAD and OPTIONS requests are sent, a WebSocket that is closed at once, and
POST requests to paths that do not exist.

With access to the data directory it issues itself a certificate for 15 minutes, whose key is in no
file, and revokes it at the end. Elsewhere, with an external CA, or without the CA's key, give it one.

Options:
      --certificate FILE  use this certificate of a device, in PEM, instead
      --key FILE          and its key, in PEM
      --connect HOST:PORT where the proxy is, if its name resolves to another address here
      --server-ca FILE    trust these CAs for the server's certificate, in PEM
      --application URL   test whether the application can be reached there, bypassing the proxy
      --only NAME,…       run only these checks, or groups of checks; docs/doctor.md lists them
      --json              print the same as JSON

Exit code 0: nothing failed. 1: something did. 2: usage error.

Example:
  $ certlatch doctor https://home.example.org`

export const options = {
  certificate: { type: 'string' },
  key: { type: 'string' },
  connect: { type: 'string' },
  'server-ca': { type: 'string' },
  application: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'boolean' },
} as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  askedChecks(invocation)
  const door = await doorOf(invocation)
  const given = await givenCertificate(invocation)
  if (given === undefined) return withOwnDevice(invocation, door)
  const loaded = loadConfig(invocation.environment)
  const config = loaded.ok ? loaded.config : undefined
  return examine(invocation, { ...door, ...given }, config, undefined)
}

const INSTEAD = 'give --certificate FILE and --key FILE of a device'

/** Throws unless this data directory has the CA's key. */
async function requireOwnDevice({ dataDir }: Config): Promise<void> {
  const refuse = (problem: string): never => {
    throw usageError(problem, INSTEAD)
  }
  const { privateFolder, authorityKey } = dataPaths(dataDir)
  const code = await access(privateFolder, constants.W_OK).then(() => undefined, errorCode)
  if (code === 'ENOENT') refuse(`the data directory ${dataDir} does not exist or is empty`)
  if (code !== undefined) refuse(`${privateFolder} cannot be written by this user (${code})`)
  if (!(await isAllowed(authorityKey, constants.R_OK))) {
    refuse(`the key of the CA, ${authorityKey}, is not there or cannot be read`)
  }
}

/** Issues the doctor's certificate, and revokes it whatever happens. */
async function withOwnDevice(
  invocation: Invocation,
  door: Omit<Door, 'certificate' | 'key'>,
): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, INSTEAD)
  await requireOwnDevice(config)
  const { passphrase } = await signingChangeOf(invocation, config)
  const change = () => ({ ...changeOf(invocation, config), passphrase })
  // From here on a signal ends the checks but not the process, so that the cleanup runs.
  const stop = new AbortController()
  const stopped = invocation.waitForStop().then(() => stop.abort())
  const device = await beginDoctorDevice(change())
  try {
    const given: GivenCertificate = { certificate: device.certificatePem, key: device.keyPem }
    const revoke = async () => {
      if (!stop.signal.aborted) await revokeDoctorDevice(change(), device)
    }
    const examined = examine(invocation, { ...door, ...given }, config, revoke, stop.signal)
    const exitCode = await Promise.race([examined, stopped])
    if (exitCode !== undefined) return exitCode
    throw new CommandError('stopped; the certificate of certlatch doctor is no longer accepted')
  } finally {
    await finishDoctorDevice(change())
  }
}

async function examine(
  invocation: Invocation,
  door: Door,
  config: Config | undefined,
  revoke: (() => Promise<void>) | undefined,
  stop?: AbortSignal,
): Promise<ExitCode> {
  const { flags, terminal, streams } = invocation
  const certificate = new X509Certificate(door.certificate).raw
  const here = await hereIfAny(
    config,
    door.authority,
    certificate,
    revoke !== undefined,
    invocation,
  )
  const client = createClient(door, LIMITS, stop)
  const isJson = flags['json'] === true
  const progress = progressOn(streams.stderr)
  try {
    const outcomes = await runChecks({
      door,
      here,
      certificate,
      cookieName: config?.cookieName ?? '__Host-certlatch',
      client,
      isAsked: askedChecks(invocation),
      revoke,
      nowSeconds: invocation.nowSeconds,
      onProgress: progress.show,
      onOutcome: (outcome) => {
        progress.clear()
        if (!isJson && stop?.aborted !== true)
          for (const line of outcomeLines(outcome)) terminal.print(line)
      },
    })
    progress.clear()
    const counts = countOutcomes(outcomes)
    if (isJson) {
      const url = `https://${door.authority}`
      terminal.print(JSON.stringify(describeOutcomes(url, outcomes, client.asked), undefined, 2))
    } else {
      terminal.print(summaryLine(counts))
      const raised = raisedLine(outcomes)
      if (raised !== undefined) terminal.print(raised)
    }
    return counts.failed > 0 ? 1 : 0
  } finally {
    client.close()
  }
}

/** With a given certificate, missing files are no error: doctor may run on another machine. */
async function hereIfAny(
  config: Config | undefined,
  authority: string,
  certificate: Buffer,
  isNeeded: boolean,
  { nowSeconds }: Invocation,
): Promise<Here | undefined> {
  if (config === undefined) return undefined
  try {
    return await readHere(config, { authority, certificate }, nowSeconds)
  } catch (error) {
    if (isNeeded || !(error instanceof CommandError)) throw error
    return undefined
  }
}

interface Progress {
  show(done: number, all: number): void
  clear(): void
}

/** Shows one line that is overwritten, on a terminal only. */
function progressOn(stream: NodeJS.WritableStream & { readonly isTTY?: boolean }): Progress {
  if (stream.isTTY !== true) return { show: () => undefined, clear: () => undefined }
  return {
    show: (done, all) => stream.write(`\r${done} of ${all} checks …\x1b[K`),
    clear: () => stream.write('\r\x1b[K'),
  }
}
