import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { raisedLine } from '../../src/doctor/report.ts'
import { checkNamed } from '../support/doctor.ts'
import { repository } from '../support/repository.ts'

test('The alerts that a run may trigger are ones that exist', () => {
  const rules = readFileSync(join(repository(), 'deploy/prometheus/certlatch.rules.yml'), 'utf8')
  const check = checkNamed('forged-certificate')
  const line = raisedLine([{ check, result: 'ok', findings: [], isLogged: true }])
  const named = line?.match(/Certlatch\w+/g) ?? []
  assert.equal(named.length, 4)
  for (const alert of named) assert.ok(rules.includes(`- alert: ${alert}\n`), alert)
  // A server without certlatch has logged nothing.
  assert.equal(raisedLine([{ check, result: 'ok', findings: [] }]), undefined)
  for (const [name, raises] of [
    ['inner-paths', true],
    ['pages', false],
  ] as const) {
    const outcome = { check: checkNamed(name), result: 'ok', findings: [], isLogged: true } as const
    assert.equal(raisedLine([outcome]) !== undefined, raises)
  }
})
