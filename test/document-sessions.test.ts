import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { certlatch, initialized } from './support/command.ts'
import { documentsBelow } from './support/markdown.ts'
import { repository } from './support/repository.ts'
import { addTestDevice, sessionOf, startTestService } from './support/service.ts'
import { matchesLine } from './support/transcript.ts'

const read = (name: string): string => readFileSync(join(repository(), name), 'utf8')

interface Step {
  readonly command: string
  readonly lines: readonly string[]
}

/** The terminal sessions of a document: each command with the lines below it that are not empty. */
const sessionsOf = (document: string): readonly string[] =>
  [...read(document).matchAll(/^```console\n(.*?)^```$/gms)].map(([, session = '']) => session)

const stepsOf = (session: string): readonly Step[] =>
  session
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [command = '', ...lines] = step.split('\n')
      return { command, lines: lines.filter((line) => line !== '') }
    })

/** A line without what differs from one run, machine or household to the next. */
const shape = (line: string): string =>
  line
    .replaceAll(/\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)? UTC)?/g, 'DAY')
    .replaceAll(/(?:[0-9A-F]{2}:)+[0-9A-F]{2}/g, 'HEX')
    .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'ID')
    .replaceAll(/(?:\/\S+\/)?[a-z-]+-[0-9a-f]{8}(?=\.p)/g, 'FILE')
    .replaceAll(/\/\S+\/certlatch-\w+-\w+(?:\/packages)?/g, 'FOLDER')
    .replaceAll(/\b[a-z0-9]{4}(?:-[a-z0-9]{4}){4}\b/g, 'PASSWORD')
    .replaceAll(/#[a-z0-9]{20}$/g, '#CODE')
    .replaceAll(/(Set-Cookie: .*=v1\.).*/g, '$1TOKEN')
    .replaceAll(/\b\d\.\d\.\d(?:-test)?\b|\bv\d+\.\d+\.\d+\b/g, 'VERSION')
    .replaceAll(/\b(?:[0-9a-f]{16}|[0-9a-f]{6})\b(?!-)/g, 'HEX')
    .replaceAll(/(?:DAY, )?\d+ (?:second|minute|hour|day)s? ago|never|just now/g, 'SEEN')
    .replaceAll(/\d+ (?:second|minute|hour|day)s?/g, 'SPAN')
    .replaceAll(/\d+/g, 'N')
    .replaceAll(/\b(certificate|request)s\b/g, '$1')
    .replaceAll(/ +/g, ' ')

function assertPrinted(lines: readonly string[], output: string, where: string): void {
  const printed = output.split('\n').map(shape)
  for (const line of lines) {
    const found = printed.some((actual) => matchesLine(shape(line), actual))
    assert.ok(found, `${where}: ${line}\nwas not printed, but:\n${output}`)
  }
}

/** As a shell would take them apart. */
const words = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

/** The devices of the documents' examples, after a day of visits. */
async function household(context: TestContext) {
  const { dataDir, packages } = await initialized({ commonName: 'Lovelace family' })
  const environment: Record<string, string> = {
    CERTLATCH_DATA_DIR: dataDir,
    CERTLATCH_URL: 'https://home.example.org',
  }
  const policy = join(dataDir, 'policy.yaml')
  const [, rules = ''] = /^```yaml\n(version: 1\n.*?)^```$/ms.exec(read('docs/policy.md')) ?? []
  await writeFile(policy, rules)
  environment['CERTLATCH_POLICY_FILE'] = policy
  const run = (argv: readonly string[]) => certlatch(argv, environment, 2 * 3600)
  const service = await startTestService(context, { dataDir })
  environment['CERTLATCH_ADMIN_LISTEN'] = `127.0.0.1:${service.adminPort}`
  for (const owner of ['Ada', 'Grace']) {
    const added = ['device', 'add', `${owner}'s phone`, '--owner', owner, '--format', 'pem']
    await run([...added, '--out', packages])
  }
  await addTestDevice(dataDir, "Grace's tablet", 'Grace')
  await addTestDevice(dataDir, 'Kitchen')
  const { certificate } = await addTestDevice(dataDir, 'Lost phone', 'Ada')
  service.clock.now += 2 * 3_600_000
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  for (const name of ['Lost phone', "Grace's tablet"]) await run(['device', 'revoke', name])
  await service.ask([['Cookie', cookie]])
  await service.ask()
  return { run, packages }
}

/** Tries a proxy from outside, and there is none here: doctor.e2e.ts shows it. */
const NEEDS_A_PROXY = /^certlatch doctor/

/** A new household for what would leave another one behind. */
const CHANGES = /^certlatch device (?:add|invite|renew|revoke)/

test('Every certlatch command in the documents prints the output shown there', async (context) => {
  const shared = await household(context)
  const steps = documentsBelow(repository())
    .filter((document) => document !== 'README.md')
    .flatMap((document) =>
      sessionsOf(document)
        .flatMap(stepsOf)
        .filter(({ command }) => !NEEDS_A_PROXY.test(command))
        .map((step) => ({ document, step })),
    )
  assert.ok(steps.length >= 7)
  for (const { document, step } of steps) {
    const { run, packages } = CHANGES.test(step.command) ? await household(context) : shared
    const [program, ...argv] = words(step.command)
    assert.equal(program, 'certlatch', document)
    if (/^(?:add|renew)$/.test(argv[1] ?? '')) argv.push('--out', packages)
    // The household has the device already.
    const name = /^(?:add|invite)$/.test(argv[1] ?? '') ? argv[2] : undefined
    const known = (text: string) =>
      name === undefined ? text : text.replaceAll('Another phone', name)
    if (name !== undefined) argv[2] = 'Another phone'
    const { stdout, stderr } = await run(argv)
    const output = known(`${stdout}${stderr}`)
    assertPrinted(step.lines, output, `${document}: ${step.command}`)
  }
})

test('The session in the README is what npm run demo prints', { timeout: 120_000 }, async () => {
  const tour = join(repository(), 'dist/test/demo/tour.js')
  const demo = await promisify(execFile)(process.execPath, [tour, '--front', 'stand-in'])
  const [session = ''] = sessionsOf('README.md')
  const lines = session.split('\n').filter((line) => line !== '')
  assert.ok(lines.length > 15)
  assertPrinted(lines, demo.stdout, 'README.md')
})
