import assert from 'node:assert/strict'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runHook } from '../../src/administration/revocation-hook.ts'
import { temporaryFolder } from '../support/service.ts'

const FACTS = { device: "Ada's phone; rm -rf", serial: '4f1c08', reason: 'keyCompromise' }

test('The hook receives what was revoked and PATH, and nothing else', async () => {
  const file = join(await temporaryFolder(), 'environment.json')
  const source = `require('fs').writeFileSync(process.argv[1], JSON.stringify(process.env))`
  const problem = await runHook([process.execPath, '-e', source, file], FACTS, '/usr/bin')
  assert.equal(problem, undefined)
  // Node itself passes on where coverage is written.
  const { NODE_V8_COVERAGE: _, ...given } = JSON.parse(await readFile(file, 'utf8'))
  assert.deepEqual(given, {
    PATH: '/usr/bin',
    CERTLATCH_REVOKED_DEVICE: FACTS.device,
    CERTLATCH_REVOKED_SERIAL: FACTS.serial,
    CERTLATCH_REVOKED_REASON: FACTS.reason,
  })
})

test('A hook that fails, hangs or does not exist is reported in words', async () => {
  const node = process.execPath
  assert.equal(
    await runHook([node, '-e', 'process.exit(3)'], FACTS, undefined),
    'ended with exit code 3',
  )
  assert.equal(
    await runHook([node, '-e', 'setInterval(() => {}, 1000)'], FACTS, undefined, 200),
    'was ended by SIGKILL, after 0.2 seconds at most',
  )
  assert.equal(
    await runHook(['/no/such/program'], FACTS, undefined),
    'could not be started (ENOENT)',
  )
  const folder = await temporaryFolder()
  const script = join(folder, 'script')
  await writeFile(script, 'echo')
  await chmod(script, 0o644)
  assert.equal(await runHook([script], FACTS, undefined), 'could not be started (EACCES)')
})
