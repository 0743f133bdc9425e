import { type Change, pathsOf } from '../administration/change-directory.ts'
import { CommandError, usageError } from '../administration/command-error.ts'
import { isEncryptedKey } from '../certificate/pem.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { type DataPaths, dataPaths } from '../store/data-directory.ts'
import { readTextIfThere } from '../store/files.ts'
import type { Invocation } from './command.ts'
import { askSecret } from './terminal.ts'

/** Reads the settings. Throws a `CommandError` with all their problems. */
export function settingsOf({ environment }: Invocation): Config {
  const loaded = loadConfig(environment)
  if (loaded.ok) return loaded.config
  throw new CommandError(loaded.problems, { code: 'usage' })
}

/** Reads the settings for a command that needs the built-in CA. */
export function ownSettingsOf(invocation: Invocation, instead: string): Config {
  const config = settingsOf(invocation)
  if (config.ca.kind === 'built-in') return config
  throw usageError(
    `CERTLATCH_CA_FILE is set: certificates come from ${config.ca.file}, not from certlatch`,
    instead,
  )
}

export function changeOf(invocation: Invocation, config: Config): Change {
  const { command: who, nowSeconds, terminal } = invocation
  return { ...directoryOf(config), who, nowSeconds: nowSeconds(), notify: terminal.warn }
}

/** The same for a change that signs with the CA's key: prompts for its passphrase if none is set. */
export async function signingChangeOf(invocation: Invocation, config: Config): Promise<Change> {
  const passphrase = await authorityPassphrase(invocation, config)
  return { ...changeOf(invocation, config), passphrase }
}

/** Commands write the built-in CA's CRL where the service reads it, which a setting may name. */
const directoryOf = ({ dataDir, ca }: Config) => ({
  dataDir,
  revocationList: ca.kind === 'built-in' ? ca.crlFile : undefined,
})

export const pathsOfConfig = (config: Config): DataPaths => pathsOf(directoryOf(config))

/** Returns the passphrase of the CA's key, from the settings or typed in a terminal. */
async function authorityPassphrase(
  { streams }: Invocation,
  { caPassphrase, dataDir }: Config,
): Promise<string | undefined> {
  if (caPassphrase !== undefined) return caPassphrase
  const { authorityKey } = dataPaths(dataDir)
  const key = await readTextIfThere(authorityKey)
  if (key === undefined || !isEncryptedKey(key)) return undefined
  return askSecret(streams, `passphrase of ${authorityKey}: `)
}
