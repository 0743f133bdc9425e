import type { CertificateId } from '../certificate/certificate-id.ts'
import { isPrintableName } from '../certificate/identity.ts'
import { isCertificateId, isTime, parseObject } from './json-file.ts'

/** A certificate that is denied although no CRL lists it. */
interface BlockedCertificate extends CertificateId {
  /** Unix seconds. */
  readonly blockedAt: number
}

/** Ends the sessions of a name: those of certificates last seen at or before that time. */
interface SignOut {
  /** A device's name, or the name in an external CA's certificate. */
  readonly name: string
  /** Unix seconds. */
  readonly at: number
}

/** What is denied in addition to the CRLs. */
export interface Blocks {
  /** Grows with every change, so that a service can report which version it has loaded. */
  readonly number: number
  readonly certificates: readonly BlockedCertificate[]
  readonly signOuts: readonly SignOut[]
}

export const NO_BLOCKS: Blocks = { number: 0, certificates: [], signOuts: [] }

const SCHEMA_VERSION = 1

/** Parses `blocks.json`; `undefined` if it is not valid. */
export function readBlocks(text: string): Blocks | undefined {
  const { schemaVersion, number, certificates, signOuts } = parseObject(text) ?? {}
  if (schemaVersion !== SCHEMA_VERSION || !isTime(number) || number < 1) return undefined
  if (!Array.isArray(certificates) || !certificates.every(isBlockedCertificate)) return undefined
  if (!Array.isArray(signOuts) || !signOuts.every(isSignOut)) return undefined
  return { number, certificates, signOuts }
}

function isBlockedCertificate(value: unknown): value is BlockedCertificate {
  const fields = (value ?? {}) as Record<string, unknown>
  return isCertificateId(fields) && isTime(fields['blockedAt'])
}

function isSignOut(value: unknown): value is SignOut {
  const { name, at } = (value ?? {}) as Record<string, unknown>
  return typeof name === 'string' && isPrintableName(name) && isTime(at)
}

export function writeBlocks(blocks: Blocks): string {
  return `${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...blocks }, undefined, 2)}\n`
}
