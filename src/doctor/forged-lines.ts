import { writePem } from '../certificate/pem.ts'
import type { HeaderLine } from './probe.ts'

type Encoding = 'base64' | 'RFC 9440' | 'URL-escaped PEM'

/** The header of each proxy, with its encoding. */
const OWN_ENCODING = {
  'X-Forwarded-Tls-Client-Cert': 'base64',
  'Client-Cert': 'RFC 9440',
  'X-SSL-Client-Cert': 'URL-escaped PEM',
} as const satisfies Readonly<Record<string, Encoding>>

export const CERTIFICATE_HEADERS = Object.keys(OWN_ENCODING)

/** The certificate in every encoding. */
export function encodings(certificate: Buffer): Readonly<Record<Encoding, string>> {
  const base64 = certificate.toString('base64')
  return {
    base64,
    'RFC 9440': `:${base64}:`,
    'URL-escaped PEM': encodeURIComponent(writePem('CERTIFICATE', certificate)),
  }
}

/** Every proxy's header, as that proxy would write it. */
export function forgedCertificate(certificate: Buffer): readonly HeaderLine[] {
  const encoded = encodings(certificate)
  return Object.entries(OWN_ENCODING).map(([name, encoding]) => [name, encoded[encoding]])
}
