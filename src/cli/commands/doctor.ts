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
import { describeOutcomes, outcomeLines, raisedLine, summaryLine } from '../../doctor/report.ts'
import { runChecks } from '../../doctor/run.ts'
import type { Target } from '../../doctor/target.ts'
import { dataPaths } from '../../store/data-directory.ts'
import { errorCode, isAllowed } from '../../store/files.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { changeOf, ownSettingsOf, signingChangeOf } from '../command-context.ts'
import { readHere } from '../doctor/here.ts'
import { askedChecks, givenCertificate, targetOf } from '../doctor/target-arguments.ts'

export const help = `Usage: certlatch doctor URL [--connect HOST:PORT] [--server-ca FILE]
         [--certificate FILE --key FILE] [--application URL] [--only NAME,…] [--json]

Tests the deployment from outside, as a browser with a certificate and as an attacker without one, and
reports for each problem what to change, in the terms of the proxy that it recognizes. The application
is not changed: at most 300 GET, HEAD and OPTIONS requests are sent, a WebSocket that is closed at once,
and POST requests to paths that do not exist.

With access to the data directory it issues itself a certificate for 15 minutes, whose key stays in
memory, and revokes it at the end. Elsewhere, with an external CA, or without the CA's key, give it the
certificate of a device.

Options:
      --certificate FILE  the certificate of a device, in PEM
      --key FILE          the key of that certificate, in PEM
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
  const target = await targetOf(invocation)
  const given = await givenCertificate(invocation)
  if (given === undefined) return withOwnDevice(invocation, target)
  const loaded = loadConfig(invocation.environment)
  const config = loaded.ok ? loaded.config : undefined
  return examine(invocation, { ...target, ...given }, config, undefined)
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

/** Issues the doctor's certificate, and revokes it however the run ends. */
async function withOwnDevice(
  invocation: Invocation,
  target: Omit<Target, 'certificate' | 'key'>,
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
    const given = { certificate: device.certificatePem, key: device.keyPem }
    const revoke = async () => {
      if (!stop.signal.aborted) await revokeDoctorDevice(change(), device)
    }
    const examined = examine(invocation, { ...target, ...given }, config, revoke, stop.signal)
    const exitCode = await Promise.race([examined, stopped])
    if (exitCode !== undefined) return exitCode
    throw new CommandError('stopped; the certificate of certlatch doctor is no longer accepted')
  } finally {
    await finishDoctorDevice(change(), device)
  }
}

async function examine(
  invocation: Invocation,
  target: Target,
  config: Config | undefined,
  revoke: (() => Promise<void>) | undefined,
  stop?: AbortSignal,
): Promise<ExitCode> {
  const { flags, terminal, streams, nowSeconds } = invocation
  const certificate = new X509Certificate(target.certificate).raw
  const { authority } = target
  const reading = config && readHere(config, { authority, certificate }, nowSeconds)
  // With a given certificate, missing files are no error: doctor may run on another machine.
  const here = await (revoke === undefined ? reading?.catch(undefinedIfUnreadable) : reading)
  const client = createClient(target, LIMITS, stop)
  const isJson = flags['json'] === true
  try {
    const outcomes = await runChecks({
      target,
      here,
      certificate,
      cookieName: config?.cookieName ?? '__Host-certlatch',
      client,
      isAsked: askedChecks(invocation),
      revoke,
      nowSeconds,
      onProgress: (done, all) => showProgress(streams.stderr, `${done} of ${all} checks …`),
      onOutcome: (outcome) => {
        showProgress(streams.stderr, '')
        if (isJson || stop?.aborted === true) return
        for (const line of outcomeLines(outcome)) terminal.print(line)
      },
    })
    showProgress(streams.stderr, '')
    if (isJson) {
      const report = describeOutcomes(`https://${authority}`, outcomes, client.asked)
      terminal.print(JSON.stringify(report, undefined, 2))
    } else {
      terminal.print(summaryLine(outcomes))
      const raised = raisedLine(outcomes)
      if (raised !== undefined) terminal.print(raised)
    }
    return outcomes.some(({ result }) => result === 'failed') ? 1 : 0
  } finally {
    client.close()
  }
}

function undefinedIfUnreadable(error: unknown): undefined {
  if (!(error instanceof CommandError)) throw error
}

/** Overwrites the current line, on a terminal only. */
function showProgress(stream: NodeJS.WritableStream & { isTTY?: boolean }, text: string): void {
  if (stream.isTTY === true) stream.write(`\r${text}\x1b[K`)
}
