import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { issueAuthority, issueCertificate, publicKeyInfoOf } from '../../src/certificate/issue.ts'
import { type Pkcs12Form, writePkcs12 } from '../../src/enrollment/pkcs12.ts'

const NOW = Date.UTC(2026, 10, 24) / 1000
const VALIDITY = { notBefore: NOW - 3600, notAfter: NOW + 86_400 }
const FORMS: readonly Pkcs12Form[] = ['compat', 'modern']
const KEYS: Readonly<Record<string, KeyObject>> = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
  'RSA-2048': generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}

const authorityKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
const authorityDer = issueAuthority({
  ...VALIDITY,
  commonName: 'Home Device CA',
  privateKey: authorityKey,
  serial: randomBytes(16),
})

function certificateOf(privateKey: KeyObject): Buffer {
  const certificate = readCertificate(authorityDer)
  assert.ok(certificate !== undefined)
  return issueCertificate(
    {
      ...VALIDITY,
      commonName: "Ada's phone",
      publicKeyInfo: publicKeyInfoOf(privateKey),
      serial: randomBytes(16),
      uri: 'urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427',
    },
    { certificate, privateKey: authorityKey },
  )
}

for (const form of FORMS) {
  for (const [name, privateKey] of Object.entries(KEYS)) {
    for (const password of ['k7fm-x2ab-pq3r-9hzt-w4dn', 'Grün 📱 пароль', 'x'.repeat(100)]) {
      test(`OpenSSL opens the ${form} package of a ${name} key with the password ${password}`, () => {
        const pfx = writePkcs12(
          {
            form,
            friendlyName: "Ada's phone 📱",
            password,
            certificate: certificateOf(privateKey),
            privateKey,
          },
          randomBytes,
        )
        createSecureContext({ pfx, passphrase: password })
        assert.throws(() => createSecureContext({ pfx, passphrase: 'another' }), /mac verify/)
      })
    }
  }
}

test('A package without a password is a bug', () => {
  const privateKey = authorityKey
  assert.throws(
    () =>
      writePkcs12(
        {
          form: 'compat',
          friendlyName: 'a',
          password: '',
          certificate: authorityDer,
          privateKey,
        },
        randomBytes,
      ),
    /has a password/,
  )
})
