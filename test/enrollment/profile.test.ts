import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'plist'
import { type ProfileRequest, writeProfile } from '../../src/enrollment/profile.ts'

const REQUEST: ProfileRequest = {
  deviceName: 'Ada\'s <phone> & "tablet" 📱',
  deviceId: '1b4e28ba-2fa1-41d2-883f-0016d3cca427',
  organization: 'Home Device CA',
  fileName: 'adas-phone-4f0c22a1.p12',
  pkcs12: Buffer.from('a package'),
}

type Dictionary = Readonly<Record<string, unknown>>

/** What a property list parser reads; Apple's own is used in the end-to-end tests. */
function read(request: ProfileRequest): { profile: Dictionary; payloads: readonly Dictionary[] } {
  const { PayloadContent, ...profile } = parse(writeProfile(request)) as Dictionary
  return { profile, payloads: PayloadContent as readonly Dictionary[] }
}

const UUID_V5 = /^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/

test('A profile contains the package, its name and nothing that unlocks it', () => {
  const { profile, payloads } = read(REQUEST)
  const { PayloadUUID, ...rest } = profile
  assert.match(String(PayloadUUID), UUID_V5)
  assert.deepEqual(rest, {
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: 'certlatch.device.1b4e28ba-2fa1-41d2-883f-0016d3cca427',
    PayloadDisplayName: 'Home Device CA: Ada\'s <phone> & "tablet" 📱',
    PayloadOrganization: 'Home Device CA',
    PayloadDescription: 'Installs the certificate that gives this device access.',
  })
  const [identity = {}, ...others] = payloads
  assert.deepEqual(others, [])
  assert.match(String(identity['PayloadUUID']), UUID_V5)
  assert.notEqual(identity['PayloadUUID'], PayloadUUID)
  assert.deepEqual(
    {
      ...identity,
      PayloadUUID: '',
      PayloadContent: Buffer.from(identity['PayloadContent'] as Uint8Array).toString(),
    },
    {
      PayloadType: 'com.apple.security.pkcs12',
      PayloadVersion: 1,
      PayloadIdentifier: 'certlatch.device.1b4e28ba-2fa1-41d2-883f-0016d3cca427.identity',
      PayloadUUID: '',
      PayloadDisplayName: REQUEST.deviceName,
      PayloadCertificateFileName: 'adas-phone-4f0c22a1.p12',
      PayloadContent: 'a package',
    },
  )
})

test('A profile for a single device also contains the password', () => {
  const { payloads } = read({ ...REQUEST, password: 'k7fm-x2ab' })
  assert.equal(payloads[0]?.['Password'], 'k7fm-x2ab')
  assert.ok(!('Password' in (read(REQUEST).payloads[0] ?? {})))
})

test('The profile of a renewed certificate replaces the previous one; each device has its own', () => {
  const uuids = (request: ProfileRequest) => {
    const { profile, payloads } = read(request)
    return [profile, ...payloads].map(({ PayloadUUID, PayloadIdentifier }) => [
      PayloadUUID,
      PayloadIdentifier,
    ])
  }
  const renewed = { ...REQUEST, fileName: 'another.p12', pkcs12: Buffer.from('renewed') }
  assert.deepEqual(uuids(renewed), uuids(REQUEST))
  const other = uuids({ ...REQUEST, deviceId: '00000000-0000-4000-8000-000000000000' }).flat()
  assert.ok(
    !uuids(REQUEST)
      .flat()
      .some((value) => other.includes(value)),
  )
})

test('Any text comes out as it went in, except for what XML cannot contain', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (deviceName) => {
      const { payloads } = read({ ...REQUEST, deviceName: `(${deviceName})` })
      const unheld = /[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu
      const expected = deviceName.replace(unheld, '\ufffd')
      assert.equal(payloads[0]?.['PayloadDisplayName'], `(${expected})`)
    }),
  )
})

test('A password is included only if it was given: then nothing is typed on the phone', () => {
  const identityOf = (request: ProfileRequest) => read(request).payloads.at(-1)
  assert.equal(identityOf(REQUEST)?.['Password'], undefined)
  assert.equal(identityOf({ ...REQUEST, password: 'k7fm-x2ab' })?.['Password'], 'k7fm-x2ab')
})
