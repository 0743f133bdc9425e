/** What an invited device gets: one certificate in the forms that importers want, and their password. */
export interface Packages {
  readonly password: string
  /** For people, without extension. */
  readonly fileName: string
  readonly p12: Buffer
  readonly modernP12: Buffer
  /** Holds the password: it is handed to the device alone. */
  readonly mobileconfig: Buffer
}

const BINARY = ['p12', 'modernP12', 'mobileconfig'] as const

/** The packages as bytes to be sealed. */
export function writePackages(packages: Packages): Buffer {
  const binary = BINARY.map((name) => [name, packages[name].toString('base64')])
  const { password, fileName } = packages
  return Buffer.from(JSON.stringify({ password, fileName, ...Object.fromEntries(binary) }))
}

/** What `writePackages` wrote. Throws on anything else: the seal is checked before. */
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
