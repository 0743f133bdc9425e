import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readPackages, writePackages } from '../../src/enrollment/packages.ts'

test('Packages come back as they were written', () => {
  const bytes = fc.uint8Array({ maxLength: 50 }).map((array) => Buffer.from(array))
  const packages = fc.record(
    {
      ...{ password: fc.string(), fileName: fc.string({ unit: 'grapheme' }) },
      ...{ p12: bytes, modernP12: bytes, mobileconfig: bytes },
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(packages, (all) => assert.deepEqual(readPackages(writePackages(all)), all)))
})
