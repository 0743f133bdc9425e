import { isKeyHash, parseObject } from './json-file.ts'

/**
 * CAs that were somebody else's before: certificates of those whose key hash stands here open
 * without an entry in the registry, and name their holders themselves.
 */
export type UnlistedIssuers = ReadonlySet<string>

const SCHEMA_VERSION = 1

/** The content of `adopted.json`; `undefined` if it is anything else. */
export function readAdopted(text: string): UnlistedIssuers | undefined {
  const { schemaVersion, unlisted } = parseObject(text) ?? {}
  if (schemaVersion !== SCHEMA_VERSION || !Array.isArray(unlisted)) return undefined
  return unlisted.every(isKeyHash) ? new Set(unlisted) : undefined
}

export function writeAdopted(unlisted: UnlistedIssuers): string {
  return `${JSON.stringify({ schemaVersion: SCHEMA_VERSION, unlisted: [...unlisted] })}\n`
}
