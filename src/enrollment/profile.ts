import { hash } from 'node:crypto'
import { build } from 'plist'

export interface ProfileRequest {
  readonly deviceName: string
  /** Stays the same when the device's certificate is renewed. */
  readonly deviceId: string
  /** The issuer, as shown on the phone. */
  readonly organization: string
  /** The file name of the package inside. */
  readonly fileName: string
  readonly pkcs12: Uint8Array
  /** The package's password, so that no one has to type it: for a profile that only its device gets. */
  readonly password?: string | undefined
}

/** A random UUID: the namespace of certlatch's identifiers. */
const NAMESPACE = Buffer.from('7d2b9c0e51f64a7f9a63c8e4b1750d92', 'hex')

/** A UUIDv5 (RFC 9562 §5.5): the same name gives the same one. */
function uuidOf(name: string): string {
  const bytes = hash('sha1', Buffer.concat([NAMESPACE, Buffer.from(name, 'utf8')]), 'buffer')
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex', 0, 16)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-').toUpperCase()
}

/** Replaces characters that XML 1.0 cannot represent, or does not preserve. */
const asXmlText = (text: string): string =>
  text.replace(/[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')

/** The keys that every payload has (Apple's "CommonPayloadKeys"). */
function payload(type: string, identifier: string, displayName: string) {
  return {
    PayloadType: type,
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: uuidOf(identifier),
    PayloadDisplayName: asXmlText(displayName),
  }
}

/**
 * An Apple configuration profile (.mobileconfig) that installs the package. Without a password in it, iOS
 * and macOS ask for one, so a copy of the file alone is worthless. Identifiers derive from the device's,
 * so the profile of a renewed certificate replaces the previous one.
 */
export function writeProfile(request: ProfileRequest): string {
  const { deviceName, deviceId, organization, fileName, pkcs12, password } = request
  const identifier = `certlatch.device.${deviceId}`
  return build({
    ...payload('Configuration', identifier, `${organization}: ${deviceName}`),
    PayloadOrganization: asXmlText(organization),
    PayloadDescription: 'Installs the certificate that gives this device access.',
    PayloadContent: [
      {
        ...payload('com.apple.security.pkcs12', `${identifier}.identity`, deviceName),
        PayloadCertificateFileName: fileName,
        PayloadContent: pkcs12,
        ...(password !== undefined && { Password: password }),
      },
    ],
  })
}
