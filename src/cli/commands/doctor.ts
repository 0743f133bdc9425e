import { X509Certificate } from 'node:crypto'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { CommandError } from '../../administration/command-error.ts'
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
import type { Command, ExitCode, Invocation } from '../command.ts'
import { authorityPassphrase, changeOf, settingsOf } from '../command-context.ts'
import {
  askedChecks,
  doorOf,
  type GivenCertificate,
  givenCertificate,
} from '../doctor/door-arguments.ts'
import { readHere } from '../doctor/here.ts'

const HELP = `Usage: certlatch doctor URL [--connect HOST:PORT] [--server-ca FILE]
         [--certificate FILE --key FILE] [--application URL] [--only NAME,…] [--json]

Tries the door from outside, as a browser with a certificate and as an attacker without one would, and
says of each thing that is wrong what to change, in the words of the proxy that it finds. Nothing is
changed at the application: what is sent are at most 300 requests of GET, HEAD and OPTIONS, a
WebSocket that is closed at once, and POST to paths that do not exist.

Beside the data directory it makes itself a certificate for 15 minutes, whose key is in no file, and
revokes it at the end. Elsewhere, with an external CA, and without the CA's key, give it one.

Options:
      --certificate FILE  show this certificate of a device, in PEM, instead
      --key FILE          and its key, in PEM
      --connect HOST:PORT where the proxy is, if the name leads elsewhere from here
      --server-ca FILE    trust these CAs for the server's certificate, in PEM
      --application URL   see whether the application can be reached there, beside the gate
      --only NAME,…       make only these checks, or groups of checks; docs/doctor.md lists them
      --json              print the same as JSON

Exit code 0: nothing failed. 1: something did. 2: wrong use.

Example:
  $ certlatch doctor https://home.example.org`

export const doctor: Command = {
  help: () => HELP,
  options: {
    certificate: { type: 'string' },
    key: { type: 'string' },
    connect: { type: 'string' },
    'server-ca': { type: 'string' },
    application: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
  },
  takesPositionals: true,
  run: runDoctor,
}

async function runDoctor(invocation: Invocation): Promise<ExitCode> {
  askedChecks(invocation)
  const door = await doorOf(invocation)
  const given = await givenCertificate(invocation)
  if (given === undefined) return withOwnDevice(invocation, door)
  const loaded = loadConfig(invocation.environment)
  const config = loaded.ok ? loaded.config : undefined
  return examine(invocation, { ...door, ...given }, config, undefined)
}

const INSTEAD = 'give --certificate FILE and --key FILE of a device'

/** What only a data directory with a CA's key can do. */
async function requireOwnDevice({ externalCa, caFile, dataDir }: Config): Promise<void> {
  const refuse = (problem: string): never => {
    throw new CommandError(`${problem}: ${INSTEAD}`, 2)
  }
  if (externalCa) refuse(`CERTLATCH_CA_FILE is set, so the certificates are of ${caFile}`)
  const { privateFolder, authorityKey } = dataPaths(dataDir)
  const can = (path: string, mode: number) =>
    access(path, mode).then(
      () => true,
      () => false,
    )
  if (!(await can(privateFolder, constants.F_OK))) {
    refuse(`the data directory ${dataDir} does not exist or is empty; set CERTLATCH_DATA_DIR, or`)
  }
  if (!(await can(privateFolder, constants.W_OK))) refuse(`${privateFolder} cannot be written`)
  if (!(await can(authorityKey, constants.R_OK))) {
    refuse(`the key of the CA, ${authorityKey}, is not there or cannot be read`)
  }
}

/** Makes the device, and takes it back whatever comes. */
async function withOwnDevice(
  invocation: Invocation,
  door: Omit<Door, 'certificate' | 'key'>,
): Promise<ExitCode> {
  const config = settingsOf(invocation)
  await requireOwnDevice(config)
  const change = () => changeOf(invocation, config, 'doctor')
  const passphrase = await authorityPassphrase(invocation, config)
  // From here on a signal ends the run, and not the process with its work half done.
  const stop = new AbortController()
  const stopped = invocation.waitForStop().then(() => stop.abort())
  const device = await beginDoctorDevice(change(), passphrase)
  try {
    const given: GivenCertificate = { certificate: device.certificatePem, key: device.keyPem }
    const revoke = async () => {
      if (!stop.signal.aborted) await revokeDoctorDevice(change(), device, passphrase)
    }
    const examined = examine(invocation, { ...door, ...given }, config, revoke, stop.signal)
    const exitCode = await Promise.race([examined, stopped])
    if (exitCode !== undefined) return exitCode
    invocation.terminal.tell('stopped; the certificate of certlatch doctor is taken back')
    return 1
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

/** With a given certificate, files that are not here are no mistake. */
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

/** One line that is overwritten, where a person looks on. */
function progressOn(stream: NodeJS.WritableStream & { readonly isTTY?: boolean }): Progress {
  if (stream.isTTY !== true) return { show: () => undefined, clear: () => undefined }
  return {
    show: (done, all) => stream.write(`\r${done} of ${all} checks …\x1b[K`),
    clear: () => stream.write('\r\x1b[K'),
  }
}
