import assert from 'node:assert/strict'
import { test } from 'node:test'
import { derivePkcs12Key, type KeyDerivation, PURPOSE } from '../../src/enrollment/pkcs12-key.ts'

const SHORT_SALT = Buffer.from('0a58cf64530d823f', 'hex')
const LONG_SALT = Buffer.concat([SHORT_SALT, Buffer.alloc(56, 0xff), Buffer.alloc(1)])
const LONG_PASSWORD = `korrekt-pferd-Ä1 📱 ${'x'.repeat(60)}`

/** Keys that OpenSSL derives: `openssl kdf -kdfopt hexpass:… -kdfopt id:… PKCS12KDF`. */
const VECTORS: readonly (readonly [KeyDerivation, keyof typeof PURPOSE, string])[] = [
  [
    { hash: 'sha1', password: 'smeg', salt: SHORT_SALT, iterations: 1 },
    'key',
    '8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3',
  ],
  [
    { hash: 'sha256', password: 'smeg', salt: SHORT_SALT, iterations: 1000 },
    'integrity',
    '35ac16a454d608fb10c8d7c6338ca85818587aed0ff771fd26595' + '7e412c2c03c26ad8fa213a9fcf3',
  ],
  [
    { hash: 'sha1', password: LONG_PASSWORD, salt: LONG_SALT, iterations: 3 },
    'initialVector',
    'e2f72a5d2b1fde6f97138ee9aa61e923b2ad7c0edee8f75ddea7fe3de83d5e23349a2fe1d9cb69b7076ec828c270f866',
  ],
]

for (const [derivation, purpose, expected] of VECTORS) {
  const { hash, password, iterations } = derivation
  test(`The ${purpose} of ${password.slice(0, 20)} (${hash}, ${iterations}) is OpenSSL's`, () => {
    const derived = derivePkcs12Key(derivation, PURPOSE[purpose], expected.length / 2)
    assert.equal(derived.toString('hex'), expected)
  })
}
