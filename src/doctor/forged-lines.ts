import { writeCertificateHeader } from '../proxy/encodings.ts'
import type { HeaderLine } from './probe.ts'

const ENCODINGS = {
  base64: 'traefik-list',
  'RFC 9440': 'rfc9440',
  'URL-escaped PEM': 'url-escaped-pem',
} as const

/** The header of each proxy, with its encoding. */
const OWN_ENCODING = {
  'X-Forwarded-Tls-Client-Cert': 'traefik-list',
  'Client-Cert': 'rfc9440',
  'X-SSL-Client-Cert': 'url-escaped-pem',
} as const

export const CERTIFICATE_HEADERS = Object.keys(OWN_ENCODING)

/** The certificate in every encoding, each with a name for people. */
export const encodings = (
  certificate: Buffer,
): readonly (readonly [name: string, value: string])[] =>
  Object.entries(ENCODINGS).map(([name, encoding]) => [
    name,
    writeCertificateHeader(certificate, encoding),
  ])

/** Every proxy's header, as that proxy would write it. */
export const forgedCertificate = (certificate: Buffer): readonly HeaderLine[] =>
  Object.entries(OWN_ENCODING).map(([name, encoding]) => [
    name,
    writeCertificateHeader(certificate, encoding),
  ])
