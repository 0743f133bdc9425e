import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { StartError } from '../../src/server/start-error.ts'
import {
  type Answer,
  addTestDevice,
  type Headers,
  header,
  present,
  sessionOf,
  startTestService,
  temporaryFolder,
} from '../support/service.ts'

const RULES = `version: 1
preset: home-assistant
rules:
  - {name: cellar, path: /cellar/*, owner: ada, access: certificate-or-session}
  - {name: strict, path: /strict, access: certificate}
  - {name: closed, path: /closed, access: deny}
`

async function serviceWithRules(context: TestContext, rules = RULES) {
  const path = join(await temporaryFolder(), 'policy.yaml')
  await writeFile(path, rules)
  const service = await startTestService(context, { settings: { CERTLATCH_POLICY_FILE: path } })
  const ada = await addTestDevice(service.dataDir, 'Phone of Ada', 'ada')
  const grace = await addTestDevice(service.dataDir, 'Phone of Grace', 'grace')
  await service.refresh()
  const at = (uri: string, headers: Headers = []) =>
    service.ask([['X-Forwarded-Uri', uri], ...headers])
  const sessionAfter = async (device: typeof ada): Promise<Headers> => [
    ['Cookie', sessionOf(await service.askWith(device.certificate))],
  ]
  return { service, path, ada, grace, at, sessionAfter }
}

const via = (answer: Answer): string | undefined => header(answer, 'X-Certlatch-Via')

test('An open rule answers without identifying the client: no name, no cookie', async (context) => {
  const { service, ada, at } = await serviceWithRules(context)
  for (const answer of [
    await at('/api/webhook/abc'),
    await service.askWith(ada.certificate, [['X-Forwarded-Uri', '/api/webhook/abc']]),
  ]) {
    assert.equal(answer.status, 200)
    assert.equal(via(answer), 'rule')
    assert.equal(header(answer, 'Remote-User'), '')
    assert.equal(header(answer, 'X-Certlatch-Device'), '')
    assert.equal(header(answer, 'Set-Cookie'), undefined)
  }
  assert.equal(
    await service.metric('certlatch_decisions_total', {
      outcome: 'allow',
      via: 'rule',
      reason: 'none',
    }),
    2,
  )
})

test('Each of two owners is allowed where the rules allow it, by certificate and by cookie', async (context) => {
  const { service, ada, grace, at, sessionAfter } = await serviceWithRules(context)
  const statuses = async (uri: string) => {
    const answers: number[] = []
    for (const device of [ada, grace]) {
      const shown = await service.askWith(device.certificate, [['X-Forwarded-Uri', uri]])
      const remembered = await at(uri, await sessionAfter(device))
      answers.push(shown.status, remembered.status)
    }
    return answers
  }
  assert.deepEqual(await statuses('/cellar/wine'), [200, 200, 403, 403])
  assert.deepEqual(await statuses('/strict'), [200, 403, 200, 403])
  assert.deepEqual(await statuses('/closed'), [403, 403, 403, 403])
  assert.deepEqual(await statuses('/elsewhere'), [200, 200, 200, 200])
})

test("A refusal caused by a rule has the rule's name in the log", async (context) => {
  const { service, grace, at, sessionAfter } = await serviceWithRules(context)
  await at('/closed')
  await at('/api/webhook/..%2fclosed')
  await at('/strict', await sessionAfter(grace))
  await service.askWith(grace.certificate, [['X-Forwarded-Uri', '/cellar/wine']])
  await at('/elsewhere')
  const told = service
    .logLines()
    .filter(({ msg }) => msg === 'refused')
    .map(({ reason, rule }) => [reason, rule])
  assert.deepEqual(told, [
    ['policy-deny', 'closed'],
    ['ambiguous-path', 'closed'],
    ['session-not-accepted', 'strict'],
    ['not-permitted', 'cellar'],
    ['no-credentials', undefined],
  ])
})

test('Changed rules apply at once, and a broken file leaves the previous rules active, with an error in the log', async (context) => {
  const { service, path, at } = await serviceWithRules(context)
  const replace = async (rules: string) => {
    await writeFile(`${path}.new`, rules)
    await rename(`${path}.new`, path)
    await service.refresh()
  }
  assert.equal((await at('/public')).status, 403)
  await replace(`${RULES}  - {path: /public, access: open}\n`)
  assert.equal((await at('/public')).status, 200)

  await replace(`${RULES}  - {path: /public, access: closed}\n`)
  assert.equal((await at('/public')).status, 200)
  assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
  const { status, checks } = await service.readiness()
  assert.equal(status, 200)
  assert.equal(checks['files']?.ok, false)
  assert.match(
    checks['files']?.detail ?? '',
    /policy\.yaml, line 7, column 29: access "closed" does not exist/,
  )
  const line = present(service.logLines().findLast(({ level }) => level === 'error'))
  assert.match(String(line['problem']), /access "closed" does not exist/)

  await rm(path)
  await service.refresh()
  assert.equal((await at('/public')).status, 200)

  await replace('version: 1\n')
  assert.equal((await at('/public')).status, 403)
  assert.equal((await service.readiness()).checks['files']?.ok, true)
})

test('A likely mistake in the rules is a warning in the log, at startup and after a change', async (context) => {
  const unreachable = 'version: 1\nrules: [{access: deny}, {path: /a, access: certificate}]\n'
  const { service, path } = await serviceWithRules(context, unreachable)
  const warnings = () =>
    service.logLines().filter(({ msg }) => /is never reached/.test(String(msg)))
  const before = warnings().length
  assert.ok(before > 0)
  await writeFile(path, `${unreachable}# The same again.\n`)
  await service.refresh()
  assert.equal(warnings().length, before + 1)
})

test('A rule that denies the enrollment page is a warning, at startup and after a change', async (context) => {
  const closing = (host: string) =>
    `version: 1\nrules: [{name: closed, host: ${host}, path: /.certlatch/*, access: deny}]\n`
  const path = join(await temporaryFolder(), 'policy.yaml')
  await writeFile(path, closing('ha.test'))
  const settings = { CERTLATCH_POLICY_FILE: path, CERTLATCH_URL: 'https://ha.test' }
  const service = await startTestService(context, { settings })
  const warnings = () =>
    service.logLines().filter(({ msg }) => String(msg).includes('denies /.certlatch/auth/enroll'))
  assert.equal(warnings().length, 1)
  assert.match(String(warnings()[0]?.['msg']), /^the rule "closed" of .*policy\.yaml denies /)
  await writeFile(path, closing('other.test'))
  await service.refresh()
  assert.equal(warnings().length, 1)
  await writeFile(path, closing('ha.test'))
  await service.refresh()
  assert.equal(warnings().length, 2)
})

test('A start with a broken policy file reports everything wrong with it, and creates no files', async (context) => {
  const folder = await temporaryFolder()
  const path = join(folder, 'policy.yaml')
  const dataDir = join(folder, 'data')
  await writeFile(path, 'rules: {path: a, access: x}\n')
  await assert.rejects(
    startTestService(context, {
      settings: { CERTLATCH_POLICY_FILE: path, CERTLATCH_DATA_DIR: dataDir },
    }),
    (error: unknown) => {
      assert.equal(existsSync(dataDir), false)
      assert.ok(error instanceof StartError)
      assert.equal(error.problems.length, 3)
      for (const problem of error.problems) assert.ok(problem.includes(`${path}, line 1, column`))
      return true
    },
  )
})
