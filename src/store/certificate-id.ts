/** What names a certificate among those of all CAs. */
export interface CertificateId {
  /** As in `Issuer.keyHash`. */
  readonly issuerKeyHash: string
  /** As in `Certificate.serial`. */
  readonly serial: string
}

export const isSameCertificate = (one: CertificateId, other: CertificateId): boolean =>
  one.issuerKeyHash === other.issuerKeyHash && one.serial === other.serial

export const certificateKey = (issuerKeyHash: string, serial: string): string =>
  `${issuerKeyHash}/${serial}`
