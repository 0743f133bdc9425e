import { constants, existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { type Config, filesToMake } from '../config/config.ts'
import { prepareDataDirectory } from '../store/data-directory.ts'
import { describeFileError } from '../store/files.ts'
import { readPolicySource } from '../store/policy-file.ts'
import { policyParser, readRegularFile, type TrustFiles } from '../store/snapshot-sources.ts'
import { trustFiles } from './files/trust-source.ts'
import type { Log } from './log.ts'
import { StartError } from './start-error.ts'

/** Creates the files of a first start. Throws a StartError if the data directory is unsuitable. */
export async function prepareFirstStart(
  config: Config,
  nowSeconds: number,
  log: Log,
): Promise<void> {
  const needed = filesToMake(config)
  if (!Object.values(needed).includes(true)) return
  await requireNamedFiles(config)
  try {
    const prepared = await prepareDataDirectory(config.dataDir, needed, nowSeconds)
    if (!prepared.ok) throw new StartError([prepared.problem])
    for (const file of prepared.made) log.info({ file }, 'created on first start')
  } catch (error) {
    if (error instanceof StartError) throw error
    const path = error instanceof Error && 'path' in error ? String(error.path) : config.dataDir
    throw new StartError([
      `the data directory ${config.dataDir} cannot be prepared: ${path} ${describeFileError(error)}; set CERTLATCH_DATA_DIR to a folder that this user may write`,
    ])
  }
}

/** Files named by a setting are never created, and while one is missing, no others are either. */
async function requireNamedFiles(config: Config): Promise<void> {
  const { authorities, revocationLists, sessionKeys, policy } = trustFiles(config)
  const problems: string[] = []
  for (const file of [authorities, revocationLists, sessionKeys, policy]) {
    if (file === undefined || file.name === file.path) continue
    try {
      await access(file.path, constants.R_OK)
    } catch (error) {
      problems.push(`${file.name} ${describeFileError(error)}`)
    }
  }
  if (problems.length === 0 && policy !== undefined && isFirstStart(config)) {
    problems.push(...(await wrongRules(policy)))
  }
  if (problems.length > 0) throw new StartError(problems)
}

const isFirstStart = ({ ca, sessionKeysFile }: Config): boolean =>
  !existsSync(ca.file) || !existsSync(sessionKeysFile)

/** Validates the policy first, so that a failed start leaves no CA behind. */
async function wrongRules(file: NonNullable<TrustFiles['policy']>): Promise<readonly string[]> {
  const content = await readRegularFile(file.path)
  const parse = await policyParser()
  return readPolicySource({ ...file, content, parse }, undefined).problems
}
