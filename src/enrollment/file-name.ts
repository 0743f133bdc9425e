const MAX_SLUG_LENGTH = 40
const SERIAL_DIGITS = 8

/** Latin letters that Unicode does not decompose into a letter and a mark. */
const SPELLINGS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ı: 'i',
  ł: 'l',
  ŋ: 'n',
  ŧ: 't',
}

/**
 * `<slug>-<serial8>.<extension>`, as `adas-phone-4f0c22a1.p12`: safe on every file system, in every
 * shell and in a header, whatever the device's name. The first digits of the serial number distinguish
 * the packages of one device.
 */
export function packageFileName(deviceName: string, serialHex: string, extension: string): string {
  const serial = serialHex.replace(/[^0-9a-f]/g, '').slice(0, SERIAL_DIGITS)
  return `${slugOf(deviceName)}-${serial}.${extension}`
}

/** Whether this can be the name of a package for the certificate with this serial number. */
export function isPackageFileName(name: string, serialHex: string): boolean {
  const [, slug, extension = ''] =
    /^([a-z0-9][a-z0-9-]*)-[0-9a-f]+\.([a-z0-9]{1,16})$/.exec(name) ?? []
  return slug !== undefined && name === packageFileName(slug, serialHex, extension)
}

function slugOf(name: string): string {
  const plain = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}'’]/gu, '')
    .replace(/[^a-z0-9]/gu, (character) => SPELLINGS[character] ?? '-')
  const cut = plain.replace(/-+/g, '-').replace(/^-/, '').slice(0, MAX_SLUG_LENGTH)
  return cut.replace(/-$/, '') || 'device'
}
