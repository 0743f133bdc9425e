/** Identifies a certificate among those of all CAs: its issuer's key and its serial number. */
export interface CertificateId {
  /** As in `Issuer.keyHash`. */
  readonly issuerKeyHash: string
  /** As in `Certificate.serial`. */
  readonly serial: string
}

export const isSameCertificate = (one: CertificateId, other: CertificateId): boolean =>
  one.issuerKeyHash === other.issuerKeyHash && one.serial === other.serial

/** The same as one string, for maps and sets. */
export const certificateKey = ({ issuerKeyHash, serial }: CertificateId): string =>
  `${issuerKeyHash}/${serial}`
