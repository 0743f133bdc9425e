import { readBase64, readPemBlocks, writePem } from '../certificate/pem.ts'
import type { CertificateEncoding } from './dialects.ts'
import { escapedByte } from './request-path.ts'

/** What a certificate header holds: no certificate, something unreadable, or the leaf's DER. */
export type HeaderCertificate =
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'certificate'; readonly der: Buffer }

const ABSENT: HeaderCertificate = { kind: 'absent' }
const MALFORMED: HeaderCertificate = { kind: 'malformed' }
const PEM_LABEL = 'CERTIFICATE'

const certificateOf = (der: Buffer | undefined): HeaderCertificate =>
  der === undefined ? MALFORMED : { kind: 'certificate', der }

/**
 * Spellings of "no certificate" that proxies have been seen to send: nothing at all, Caddy's empty
 * PEM block, its unreplaced placeholder (up to 2.11.1), Apache's `(null)`.
 */
const NO_CERTIFICATE: ReadonlySet<string> = new Set([
  '',
  ':{http.request.tls.client.certificate_der_base64}:',
  '{http.request.tls.client.certificate_der_base64}',
  '{http.request.tls.client.certificate_pem}',
  '(null)',
])
/** Only Caddy's: from HAProxy it is a certificate that did not fit into a buffer. */
const EMPTY_SEQUENCE = '::'
const EMPTY_PEM = /^-----BEGIN CERTIFICATE-----\s*-----END CERTIFICATE-----\s*$/

/** Twice the length of the largest certificate that is accepted, escaped. */
const MAX_VALUE_LENGTH = 48 * 1024
/**
 * White space in PEM, so lines: a value of the greatest length has 750 of 64 characters. Removing
 * 24,000 single ones took as long as a hundred refusals.
 */
const MAX_WHITE_SPACE = 1024
/** A leaf and its CAs; OpenSSL allows chains of 100, real ones have 4. */
const MAX_LIST_LENGTH = 16

/** Reads the value of a certificate header in its proxy's encoding. */
export function readCertificateHeader(
  value: string,
  encoding: CertificateEncoding,
): HeaderCertificate {
  if (value.length > MAX_VALUE_LENGTH) return MALFORMED
  // Node has already trimmed the value.
  return NO_CERTIFICATE.has(value) ? ABSENT : READERS[encoding](value)
}

/** Writes a certificate in DER as a proxy with this encoding would. */
export function writeCertificateHeader(der: Buffer, encoding: CertificateEncoding): string {
  const base64 = der.toString('base64')
  switch (encoding) {
    case 'traefik-list':
      return base64
    case 'rfc9440':
    case 'rfc9440-or-empty':
      return `:${base64}:`
    case 'url-escaped-pem':
      return encodeURIComponent(writePem(PEM_LABEL, der))
  }
}

const READERS: Readonly<Record<CertificateEncoding, (text: string) => HeaderCertificate>> = {
  rfc9440: readByteSequence,
  'rfc9440-or-empty': (text) => (text === EMPTY_SEQUENCE ? ABSENT : readByteSequence(text)),
  'traefik-list': readTraefikList,
  'url-escaped-pem': readEscapedPem,
}

/** RFC 9440 §2.2: one sf-binary, `:` base64 `:`; never a list. */
function readByteSequence(text: string): HeaderCertificate {
  const [, base64] = /^:([A-Za-z0-9+/=]+):$/.exec(text) ?? []
  return base64 === undefined ? MALFORMED : certificateOf(readBase64(base64))
}

/**
 * Traefik (passTLSClientCert, `pem: true`): each certificate that the client presented, leaf first,
 * as base64 of its DER, joined with commas; URL-escaped up to v2.9.1. PEM is accepted as well.
 * The certificates after the leaf must be well-formed, and are never trusted.
 */
function readTraefikList(text: string): HeaderCertificate {
  const list = unescapeUrl(text)
  if (list === undefined) return MALFORMED
  if (EMPTY_PEM.test(list)) return ABSENT
  if (hasTooManyLines(list)) return MALFORMED
  const items = list.split(',', MAX_LIST_LENGTH + 1)
  if (items.length > MAX_LIST_LENGTH) return MALFORMED
  const certificates = items.map(readListItem)
  return certificates.includes(undefined) ? MALFORMED : certificateOf(certificates[0])
}

function readListItem(item: string): Buffer | undefined {
  if (!item.includes('-----')) return readBase64(item)
  const [, base64] =
    /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/= \t\r\n]+)-----END CERTIFICATE-----[ \t\r\n]*$/.exec(
      item,
    ) ?? []
  return base64 === undefined ? undefined : readBase64(base64.replace(/[ \t\r\n]+/g, ''))
}

function hasTooManyLines(text: string): boolean {
  let count = 0
  for (let index = 0; index < text.length && count <= MAX_WHITE_SPACE; index += 1) {
    if (text.charCodeAt(index) <= SPACE) count += 1
  }
  return count > MAX_WHITE_SPACE
}

/** nginx's `$ssl_client_escaped_cert`: one PEM block, URL-escaped. */
function readEscapedPem(text: string): HeaderCertificate {
  const pem = unescapeUrl(text)
  if (pem === undefined) return MALFORMED
  if (EMPTY_PEM.test(pem)) return ABSENT
  if (hasTooManyLines(pem)) return MALFORMED
  return certificateOf(readPemBlocks(pem, PEM_LABEL)?.[0])
}

const SPACE = 0x20
const PERCENT = 0x25
const BROKEN_ESCAPE = /%(?![0-9A-Fa-f]{2})/

/**
 * Decodes percent-encoding and nothing else: `+` belongs to base64, and is never a space. Each byte
 * becomes one character, because base64 and PEM are ASCII; `decodeURIComponent` throws on other bytes,
 * and an exception costs more than the rest of a refusal.
 */
function unescapeUrl(text: string): string | undefined {
  if (!text.includes('%')) return text
  if (BROKEN_ESCAPE.test(text)) return undefined
  const bytes = Buffer.allocUnsafe(text.length)
  let length = 0
  for (let index = 0; index < text.length; index += 1) {
    const isEscape = text.charCodeAt(index) === PERCENT
    bytes[length++] = isEscape ? escapedByte(text, index) : text.charCodeAt(index)
    if (isEscape) index += 2
  }
  return bytes.toString('latin1', 0, length)
}
