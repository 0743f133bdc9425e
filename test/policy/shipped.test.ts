import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parsePolicy } from '../../src/policy/parse.ts'
import { documentsBelow } from '../support/markdown.ts'
import { repository } from '../support/repository.ts'
import { networksOf } from '../support/request.ts'

const read = (path: string): string => readFileSync(join(repository(), path), 'utf8')
/** As in docker-compose.yml. */
const PROXIES = networksOf('10.157.90.2')

function rulesOf(text: string): readonly string[] {
  const parsed = parsePolicy(Buffer.from(text), PROXIES)
  assert.ok(parsed.ok, JSON.stringify(parsed))
  assert.deepEqual(parsed.warnings, [])
  return parsed.policy.rules.map(({ name }) => name)
}

test('The policy file of docker-compose.yml opens the webhooks, and nothing else', () => {
  const text = read('deploy/compose/policy/policy.yaml')
  assert.deepEqual(rulesOf(text), ['home-assistant: webhooks'])
  const compose = read('docker-compose.yml')
  assert.match(compose, /CERTLATCH_POLICY_FILE: \/policy\/policy\.yaml\n/)
  assert.match(compose, /- \$\{POLICY_FOLDER:-\.\/deploy\/compose\/policy\}:\/policy:ro\n/)
})

test('The policy file of docker-compose.yml stays valid with the options it offers in comments', () => {
  const text = read('deploy/compose/policy/policy.yaml').replace('# enable:', 'enable:')
  assert.equal(rulesOf(text).length, 8)
})

test('Every policy file in the documents is valid', () => {
  const blocks = documentsBelow(repository()).flatMap(
    (path) => read(path).match(/(?<=^```yaml\n)version: 1\n[^`]*/gm) ?? [],
  )
  assert.ok(blocks.length >= 2)
  for (const block of blocks) assert.ok(rulesOf(block).length > 0)
})
