import { writePem } from '../certificate/pem.ts'
import { DIALECTS } from '../proxy/dialects.ts'
import type { HeaderLine } from './probe.ts'

export const CERTIFICATE_HEADERS = [
  'X-Forwarded-Tls-Client-Cert',
  'Client-Cert',
  'X-SSL-Client-Cert',
] as const

/** The certificate as each proxy writes it. */
export function encodings(
  certificate: Buffer,
): readonly (readonly [name: string, value: string])[] {
  const base64 = certificate.toString('base64')
  return [
    ['base64', base64],
    ['RFC 9440', `:${base64}:`],
    ['URL-escaped PEM', encodeURIComponent(writePem('CERTIFICATE', certificate))],
  ]
}

/** A header with the certificate in the encoding of its dialect. */
function ownLine(name: string, certificate: Buffer): HeaderLine {
  const dialect = Object.values(DIALECTS).find(
    ({ certificateHeader }) => certificateHeader === name.toLowerCase(),
  )
  const [base64, bytes, pem] = encodings(certificate).map(([, value]) => value)
  const value = {
    'traefik-list': base64,
    rfc9440: bytes,
    'rfc9440-or-empty': bytes,
    'url-escaped-pem': pem,
  }[dialect?.encoding ?? 'rfc9440']
  return [name, value ?? '']
}

/** Every proxy's header, correctly encoded; for the detours, too. */
export const forgedCertificate = (certificate: Buffer): readonly HeaderLine[] =>
  CERTIFICATE_HEADERS.map((name) => ownLine(name, certificate))
