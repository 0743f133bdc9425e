import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pagePolicy, ruleDenyingEnrollment } from '../../src/policy/page-policy.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { ACCESS } from '../../src/policy/policy.ts'
import { parseNetworks } from '../../src/proxy/networks.ts'

const loopback = parseNetworks(['loopback'])
assert.ok(loopback.ok)
const NETWORKS = loopback.networks

function policyOf(rules: string) {
  const parsed = parsePolicy(Buffer.from(`version: 1\nrules:\n${rules}`), NETWORKS)
  assert.ok(parsed.ok)
  return parsed.policy
}

const RULES = policyOf(
  ACCESS.map((access) => `  - {name: ${access}, path: /${access}, access: ${access}}\n`).join(''),
)

test('On a public page only rules that deny count, and everything else is open', () => {
  const { rules, defaultRule } = pagePolicy(RULES, 'open')
  assert.deepEqual(
    rules.map(({ access }) => access),
    ['deny'],
  )
  assert.equal(defaultRule.access, 'open')
})

test('Elsewhere the stricter of page and rule counts', () => {
  const accessesOf = (page: 'certificate-or-session' | 'certificate') => {
    const { rules, defaultRule } = pagePolicy(RULES, page)
    return [...rules, defaultRule].map(({ access }) => access)
  }
  assert.deepEqual(accessesOf('certificate-or-session'), [
    ...['certificate-or-session', 'certificate-or-session', 'certificate', 'deny'],
    'certificate-or-session',
  ])
  assert.deepEqual(accessesOf('certificate'), [
    ...['certificate', 'certificate', 'certificate', 'deny'],
    'certificate',
  ])
})

test('A rule that denies the enrolment page is found, for its host', () => {
  const rule = '  - {name: ours, host: ha.test, path: /.certlatch/*, access: deny}\n'
  assert.equal(ruleDenyingEnrollment(policyOf(rule), 'https://ha.test:8443', NETWORKS), 'ours')
  assert.equal(ruleDenyingEnrollment(policyOf(rule), 'https://other.test', NETWORKS), undefined)
  assert.equal(ruleDenyingEnrollment(policyOf(rule), undefined, NETWORKS), undefined)
  const everywhere = policyOf('  - {name: all, access: deny}\n')
  assert.equal(ruleDenyingEnrollment(everywhere, undefined, NETWORKS), 'all')
  assert.equal(ruleDenyingEnrollment(RULES, 'https://ha.test', NETWORKS), undefined)
})

test('A rule that denies only what the enrolment page requests is found', () => {
  for (const rule of [
    'path: /.certlatch/auth/enroll/*',
    'path: /.certlatch/auth/enroll/look',
    'path: /.certlatch/auth/enroll/done, methods: [POST]',
    'path: /.certlatch/auth/enroll/profile.mobileconfig, methods: [GET]',
    'path: /.certlatch/auth/enroll, methods: [GET]',
    'path: /.certlatch/auth/enroll, methods: [POST]',
    'methods: [POST]',
  ]) {
    const policy = policyOf(`  - {name: part, ${rule}, access: deny}\n`)
    assert.equal(ruleDenyingEnrollment(policy, 'https://ha.test', NETWORKS), 'part', rule)
  }
  const other = policyOf('  - {name: other, path: /.certlatch/auth/reset, access: deny}\n')
  assert.equal(ruleDenyingEnrollment(other, 'https://ha.test', NETWORKS), undefined)
})
