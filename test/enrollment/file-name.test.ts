import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isPackageFileName, packageFileName } from '../../src/enrollment/file-name.ts'

const SERIAL = '4f0c22a1b3d45e6f7081920a3b4c5d6e'

const SLUGS: readonly (readonly [string, string])[] = [
  ["Ada's phone", 'adas-phone'],
  ['Ada’s phone', 'adas-phone'],
  ['Jürgens Händy 📱', 'jurgens-handy'],
  ['Straße Łódź Ærø Þór İstanbul ılık', 'strasse-lodz-aero-thor-istanbul-ilik'],
  ['ﬁne №5 ２０２６', 'fine-no5-2026'],
  ['../../etc/passwd', 'etc-passwd'],
  ['-rf', 'rf'],
  ['CON', 'con'],
  ['a\0b\nc', 'a-b-c'],
  ['мой телефон', 'device'],
  ['電話', 'device'],
  ['', 'device'],
  ['...', 'device'],
  [`${'x'.repeat(39)} y`, 'x'.repeat(39)],
]

for (const [name, slug] of SLUGS) {
  test(`The package of ${JSON.stringify(name)} is a file ${slug}-…`, () => {
    assert.equal(packageFileName(name, SERIAL, 'p12'), `${slug}-4f0c22a1.p12`)
  })
}

test('Whatever the name, the file name is short and plain, and can be neither hidden nor an option', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
      const file = packageFileName(name, SERIAL, 'mobileconfig')
      assert.match(file, /^[a-z0-9]+(-[a-z0-9]+)*-4f0c22a1\.mobileconfig$/)
      assert.ok(file.length <= 62, file)
    }),
  )
})

test('A package is found by its name, for the certificate that it contains', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (name) => {
      assert.ok(isPackageFileName(packageFileName(name, SERIAL, 'p12'), SERIAL))
    }),
  )
  const others = [
    'adas-phone-4f0c22a2.p12',
    'adas-phone-4f0c22a.p12',
    'adas-phone-4f0c22a1b3.p12',
    'adas-phone-4f0c22a1',
    'adas-phone-4f0c22a1.P12',
    'Adas-phone-4f0c22a1.p12',
    '../adas-phone-4f0c22a1.p12',
    'adas--phone-4f0c22a1.p12',
    '4f0c22a1.p12',
    'ca.key',
    '',
  ]
  for (const name of others) assert.ok(!isPackageFileName(name, SERIAL), name)
})

test('A short serial number appears in full, a negative one without its sign', () => {
  assert.equal(packageFileName('a', '0a', 'crt'), 'a-0a.crt')
  assert.equal(packageFileName('a', '-0a0b', 'crt'), 'a-0a0b.crt')
})
