/** What an invited device gets: one certificate in the forms that importers need, and their password. */
export interface Packages {
  readonly password: string
  /** For people, without extension. */
  readonly fileName: string
  readonly p12: Buffer
  readonly modernP12: Buffer
  /** Contains the password, so only the device itself may get it. */
  readonly mobileconfig: Buffer
}

const BINARY = ['p12', 'modernP12', 'mobileconfig'] as const

/** Encodes the packages for sealing. */
export function writePackages(packages: Packages): Buffer {
  const binary = BINARY.map((name) => [name, packages[name].toString('base64')])
  const { password, fileName } = packages
  return Buffer.from(JSON.stringify({ password, fileName, ...Object.fromEntries(binary) }))
}

/** Decodes what `writePackages` wrote. Throws on anything else, which the seal has ruled out. */
export function readPackages(bytes: Buffer): Packages {
  const { password, fileName, p12, modernP12, mobileconfig } = JSON.parse(bytes.toString('utf8'))
  return {
    password: String(password),
    fileName: String(fileName),
    p12: Buffer.from(p12, 'base64'),
    modernP12: Buffer.from(modernP12, 'base64'),
    mobileconfig: Buffer.from(mobileconfig, 'base64'),
  }
}
