import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { isEncryptedKey } from '../administration/authorities.ts'
import { type Change, pathsOf } from '../administration/change-directory.ts'
import { CommandError, usageError } from '../administration/command-error.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { type DataPaths, dataPaths } from '../store/data-directory.ts'
import { readTextIfThere } from '../store/files.ts'
import type { Invocation } from './command.ts'
import type { Streams } from './terminal.ts'

/** The settings of a command. Throws an CommandError with everything wrong with them. */
export function settingsOf({ environment }: Invocation): Config {
  const loaded = loadConfig(environment)
  if (loaded.ok) return loaded.config
  throw new CommandError(loaded.problems, { code: 'usage' })
}

/** The same for what only our own CA can do. */
export function ownSettingsOf(invocation: Invocation, instead: string): Config {
  const config = settingsOf(invocation)
  if (!config.externalCa) return config
  throw usageError(
    `CERTLATCH_CA_FILE is set, so the certificates are of ${config.caFile} and not of certlatch`,
    instead,
  )
}

export function changeOf(invocation: Invocation, config: Config, who: string): Change {
  const { nowSeconds, terminal } = invocation
  return { ...directoryOf(config), who, nowSeconds: nowSeconds(), tell: terminal.warn }
}

/** The service reads our CRL from where the settings say; so commands have to write it there. */
const directoryOf = ({ dataDir, externalCa, crlFile }: Config) => ({
  dataDir,
  revocationList: externalCa ? undefined : crlFile,
})

export const pathsOfConfig = (config: Config): DataPaths => pathsOf(directoryOf(config))

/** The passphrase of the CA's key: of the settings, or asked for where there is somebody to ask. */
export async function authorityPassphrase(
  { streams }: Invocation,
  { caPassphrase, dataDir }: Config,
): Promise<string | undefined> {
  if (caPassphrase !== undefined) return caPassphrase
  const { authorityKey } = dataPaths(dataDir)
  const key = await readTextIfThere(authorityKey)
  if (key === undefined || !isEncryptedKey(key)) return undefined
  return askSecret(streams, `passphrase of ${authorityKey}: `)
}

/** What a person types without its being shown; `undefined` without a terminal. */
export async function askSecret(
  { stdin, stderr }: Streams,
  question: string,
): Promise<string | undefined> {
  if (stdin?.isTTY !== true) return undefined
  stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const dialogue = createInterface({ input: stdin, output: nowhere, terminal: true })
  // Ctrl-C ends the question and, with nobody left to answer, the command.
  const cancelled = new AbortController()
  dialogue.once('SIGINT', () => cancelled.abort())
  try {
    return await dialogue.question('', { signal: cancelled.signal })
  } catch {
    throw new CommandError('cancelled; nothing was changed')
  } finally {
    dialogue.close()
    stderr.write('\n')
  }
}
