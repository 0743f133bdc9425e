import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, chown, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, Server } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Values } from '../../src/config/config.ts'
import { startService } from '../../src/server/start.ts'
import { StartError } from '../../src/server/start-error.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { readRunning } from '../../src/store/service-state-files.ts'
import {
  captureLog,
  configOf,
  endLater,
  exchange,
  makeAuthority,
  makeList,
  NOON,
  present,
  startTestService,
  temporaryFolder,
  writeExternalFiles,
} from '../support/service.ts'

/** Why a start with these settings fails. */
async function startProblems(values: Values): Promise<readonly string[]> {
  const log = captureLog()
  const { config, warnings } = configOf(values)
  try {
    const service = await startService({
      config,
      warnings,
      logDestination: log.destination,
      version: 'test',
      now: () => NOON,
    })
    endLater(service.stop())
  } catch (error) {
    assert.ok(error instanceof StartError, String(error))
    assert.equal(error.message, error.problems.join('\n'))
    assert.equal(error.name, 'StartError')
    return error.problems
  }
  return assert.fail('this must not start')
}

test('A first start logs each file that it has created on its own line, then serves', async (context) => {
  const service = await startTestService(context)
  const { authority, revocationList, sessionKeys } = dataPaths(service.dataDir)
  const made = service.logLines().filter(({ msg }) => msg === 'created on first start')
  assert.deepEqual(
    made.map(({ file }) => file),
    [authority, revocationList, sessionKeys],
  )
  const ready = present(service.logLines().find(({ msg }) => msg === 'ready'))
  assert.equal(ready['listen'], `127.0.0.1:${service.port}`)
  assert.equal(ready['admin'], `127.0.0.1:${service.adminPort}`)
  assert.equal(ready['version'], '0.0.0-test')
  assert.equal((await service.ask()).status, 403)
})

test('A second start creates nothing and serves with the same keys', async (context) => {
  const dataDir = await temporaryFolder()
  const first = await startTestService(context, { dataDir })
  const second = await startTestService(context, { dataDir })
  assert.ok(!second.logText().includes('created on first start'))
  const [one, other] = [await first.readiness(), await second.readiness()]
  assert.equal(one.keySet, other.keySet)
  assert.equal(one.crlNumber, other.crlNumber)
})

test('Services that start simultaneously on one empty directory serve with the same keys', async (context) => {
  const dataDir = await temporaryFolder()
  const services = await Promise.all([1, 2, 3].map(() => startTestService(context, { dataDir })))
  const keySets = await Promise.all(services.map(async (one) => (await one.readiness()).keySet))
  assert.equal(new Set(keySets).size, 1)
})

test("The machine's clock is used if no other is given", async () => {
  const { config, warnings } = configOf({ CERTLATCH_DATA_DIR: await temporaryFolder() })
  const logDestination = { write: () => {} }
  const service = await startService({ config, warnings, logDestination, version: 'test' })
  const { body } = await exchange(service.adminAddress.port, { target: '/readyz' })
  endLater(service.stop())
  assert.ok(JSON.parse(body.toString()).ready)
})

test('A partly filled data directory stops the start and is not completed', async () => {
  const dataDir = await temporaryFolder()
  await startProblemsAfterFirst(dataDir)
  await rm(dataPaths(dataDir).revocationList)
  const [problem = '', ...more] = await startProblems({ CERTLATCH_DATA_DIR: dataDir })
  assert.match(problem, /is half-filled: .*ca\.crl is missing; restore it from a backup/)
  assert.deepEqual(more, [])
})

async function startProblemsAfterFirst(dataDir: string): Promise<void> {
  const { config, warnings } = configOf({ CERTLATCH_DATA_DIR: dataDir })
  const logDestination = captureLog().destination
  const service = await startService({ config, warnings, logDestination, version: 'test' })
  endLater(service.stop())
}

test('If the data directory cannot be created, the error names the path, the reason and the setting', async () => {
  const file = join(await temporaryFolder(), 'file')
  await writeFile(file, '')
  const dataDir = join(file, 'data')
  const [problem = '', ...more] = await startProblems({ CERTLATCH_DATA_DIR: dataDir })
  assert.match(problem, new RegExp(`^the data directory ${dataDir} cannot be prepared: ${file}`))
  assert.match(problem, /has something in its path that is not a folder; set CERTLATCH_DATA_DIR/)
  assert.deepEqual(more, [])
})

test('An error without a path names the data directory', async () => {
  const dataDir = await temporaryFolder()
  const { config, warnings } = configOf({ CERTLATCH_DATA_DIR: dataDir })
  const logDestination = { write: () => {} }
  const options = { config, warnings, logDestination, version: 'test', now: () => Number.NaN }
  await assert.rejects(startService(options), (error) => {
    assert.ok(error instanceof StartError)
    assert.equal(
      error.message,
      `the data directory ${dataDir} cannot be prepared: ${dataDir} cannot be used (RangeError: Invalid time value); set CERTLATCH_DATA_DIR to a folder that this user may write`,
    )
    return true
  })
})

test('Files that settings name are never created: each missing one is a problem with its setting', async () => {
  const folder = await temporaryFolder()
  const named = {
    CERTLATCH_DATA_DIR: folder,
    CERTLATCH_CA_FILE: join(folder, 'their-ca.pem'),
    CERTLATCH_CRL_FILE: join(folder, 'their-crl.pem'),
    CERTLATCH_SESSION_KEYS_FILE: join(folder, 'our-keys'),
  }
  assert.deepEqual(await startProblems(named), [
    `CERTLATCH_CA_FILE ${named.CERTLATCH_CA_FILE} does not exist`,
    `CERTLATCH_CRL_FILE ${named.CERTLATCH_CRL_FILE} does not exist`,
    `CERTLATCH_SESSION_KEYS_FILE ${named.CERTLATCH_SESSION_KEYS_FILE} does not exist`,
  ])
})

test('Broken files that settings name are problems with those settings', async () => {
  const folder = await temporaryFolder()
  const authorities = makeAuthority('Household').pem
  const values = await writeExternalFiles(folder, { authorities, lists: 'broken' })
  const keys = join(folder, 'keys')
  await writeFile(keys, 'short')
  const problems = await startProblems({
    ...values,
    CERTLATCH_DATA_DIR: folder,
    CERTLATCH_SESSION_KEYS_FILE: keys,
  })
  assert.equal(problems.length, 2)
  assert.match(problems[0] ?? '', /^CERTLATCH_CRL_FILE .*external-crl\.pem holds no CRL/)
  assert.match(problems[1] ?? '', /^CERTLATCH_SESSION_KEYS_FILE .*keys line 1 is not a key/)
  assert.ok(!problems.join().includes('short'), 'a key is never quoted')
})

test('Broken files of the data directory are named only by their path', async () => {
  const dataDir = await temporaryFolder()
  await startProblemsAfterFirst(dataDir)
  const { authority, revocationList, sessionKeys } = dataPaths(dataDir)
  for (const path of [authority, revocationList, sessionKeys]) await writeFile(path, '')
  const problems = await startProblems({ CERTLATCH_DATA_DIR: dataDir })
  assert.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    [authority, revocationList, sessionKeys],
  )
})

test('A CRL file for the built-in CA that a setting names is not created', async () => {
  const dataDir = await temporaryFolder()
  const crlFile = join(dataDir, 'elsewhere.crl')
  const values = { CERTLATCH_DATA_DIR: dataDir, CERTLATCH_CRL_FILE: crlFile }
  assert.deepEqual(await startProblems(values), [`CERTLATCH_CRL_FILE ${crlFile} does not exist`])
})

test('With all files elsewhere, the data directory contains only what commands need', async (context) => {
  const dataDir = join(await temporaryFolder(), 'untouched')
  const folder = await temporaryFolder()
  const keys = join(folder, 'keys')
  await writeFile(keys, Buffer.alloc(32, 7).toString('base64'))
  const authority = makeAuthority('Household')
  const service = await startTestService(context, {
    dataDir,
    settings: {
      ...(await writeExternalFiles(folder, {
        authorities: authority.pem,
        lists: makeList(authority),
      })),
      CERTLATCH_SESSION_KEYS_FILE: keys,
    },
  })
  assert.equal((await service.ask()).status, 403)
  assert.deepEqual(await readdir(dataDir), ['private'])
  assert.deepEqual(await readdir(join(dataDir, 'private')), ['running'])
})

/** A port that stays taken. */
async function takenPort(): Promise<number> {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen({ port: 0, host: '127.0.0.1' }, resolve))
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  other.unref()
  return address.port
}

test('A port in use is reported with its setting, for each of the two listeners', async () => {
  const port = await takenPort()
  for (const setting of ['CERTLATCH_LISTEN', 'CERTLATCH_ADMIN_LISTEN']) {
    const dataDir = await temporaryFolder()
    const values = { CERTLATCH_DATA_DIR: dataDir, [setting]: `127.0.0.1:${port}` }
    assert.deepEqual(await startProblems(values), [
      `${setting} 127.0.0.1:${port} is in use by another process: stop that one, or choose another port`,
    ])
  }
})

test('A failed start leaves no service behind that commands would wait for', async () => {
  const port = await takenPort()
  const dataDir = await temporaryFolder()
  const listen = `127.0.0.1:${port}`
  await startProblems({ CERTLATCH_DATA_DIR: dataDir, CERTLATCH_LISTEN: listen })
  const { running } = dataPaths(dataDir)
  const [left] = await readRunning(running)
  assert.equal(left?.state.listen, listen)
  assert.notEqual(left.state.stoppedAt, undefined)
})

test("A start that finds another service in its place leaves that service's file as it is", async (context) => {
  const service = await startTestService(context)
  const listen = `127.0.0.1:${service.port}`
  const running = dataPaths(service.dataDir).running
  const [before] = await readRunning(running)
  assert.equal(before?.state.listen, listen)
  await startProblems({ CERTLATCH_DATA_DIR: service.dataDir, CERTLATCH_LISTEN: listen })
  const after = await readRunning(running)
  assert.deepEqual(
    after.map(({ state, version }) => ({ state, version })),
    [{ state: before.state, version: before.version }],
  )
})

test('A start in place of a killed service takes over its file', async (context) => {
  const dataDir = await temporaryFolder()
  const first = await startTestService(context, { settings: { CERTLATCH_DATA_DIR: dataDir } })
  const running = dataPaths(dataDir).running
  const [name = ''] = await readdir(running)
  const killed = await readFile(join(running, name))
  await first.stop()
  await writeFile(join(running, name), killed)
  const [left] = await readRunning(running)
  const settings = { CERTLATCH_DATA_DIR: dataDir, CERTLATCH_LISTEN: `127.0.0.1:${first.port}` }
  await startTestService(context, { settings })
  const states = await readRunning(running)
  assert.equal(states.length, 1)
  assert.ok(states[0]?.isFresh)
  assert.notEqual(states[0].version, left?.version)
})

test('When the second listener fails, the first is closed again', async (context) => {
  const port = await takenPort()
  const listen = context.mock.method(Server.prototype, 'listen')
  const dataDir = await temporaryFolder()
  await startProblems({
    CERTLATCH_DATA_DIR: dataDir,
    CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${port}`,
  })
  const servers = listen.mock.calls.map(({ this: server }) => server as Server)
  assert.deepEqual(
    servers.map(({ listening }) => listening),
    [false, false],
  )
})

test('An address of another machine is reported as such', async () => {
  const dataDir = await temporaryFolder()
  const values = { CERTLATCH_DATA_DIR: dataDir, CERTLATCH_LISTEN: '192.0.2.1:9180' }
  assert.deepEqual(await startProblems(values), [
    'CERTLATCH_LISTEN 192.0.2.1:9180 is not an address of this machine',
  ])
})

test('A port that needs root, and any other failure to listen, is reported in one line', async (context) => {
  const fail = (error: Error) =>
    context.mock.method(Server.prototype, 'listen', function (this: Server): Server {
      process.nextTick(() => this.emit('error', error))
      return this
    })
  const told = async (error: Error) => {
    const mocked = fail(error)
    const dataDir = await temporaryFolder()
    const problems = await startProblems({
      CERTLATCH_DATA_DIR: dataDir,
      CERTLATCH_LISTEN: '127.0.0.1:80',
    })
    mocked.mock.restore()
    return problems
  }
  const coded = (code: string) => Object.assign(new Error(code), { code })
  assert.deepEqual(await told(coded('EACCES')), [
    'CERTLATCH_LISTEN 127.0.0.1:80 may not be opened by this user: choose a port above 1023',
  ])
  assert.deepEqual(await told(coded('EMFILE')), ['CERTLATCH_LISTEN 127.0.0.1:80 fails (EMFILE)'])
  assert.deepEqual(await told(new Error('odd')), [
    'CERTLATCH_LISTEN 127.0.0.1:80 fails (Error: odd)',
  ])
})

test('A listener without an address of its own does not start', async (context) => {
  context.mock.method(Server.prototype, 'address', () => null)
  const dataDir = await temporaryFolder()
  assert.deepEqual(await startProblems({ CERTLATCH_DATA_DIR: dataDir }), [
    'CERTLATCH_LISTEN 127.0.0.1:0 fails (Error: no address to listen on)',
  ])
})

test('An IPv6 listener is logged with brackets', async (context) => {
  const service = await startTestService(context, {
    settings: { CERTLATCH_LISTEN: '[::1]:0' },
  })
  const ready = present(service.logLines().find(({ msg }) => msg === 'ready'))
  assert.equal(ready['listen'], `[::1]:${service.port}`)
})

test('What an operator should know is a warning at startup', async (context) => {
  const authority = makeAuthority('Household')
  const foreign = makeList(makeAuthority('Office'))
  const service = await startTestService(context, {
    external: { authorities: authority.pem, lists: makeList(authority) + foreign },
    settings: { CERTLATCH_TRUSTED_PROXIES: '0.0.0.0/0' },
  })
  const warnings = service.logLines().filter(({ level }) => level === 'warn')
  assert.equal(warnings.length, 2)
  assert.match(String(warnings[0]?.['msg']), /^CERTLATCH_TRUSTED_PROXIES has 0\.0\.0\.0\/0/)
  assert.match(String(warnings[1]?.['msg']), /"CN=Office" belongs to no CA .* it is ignored$/)
})

test('An external CA without a CRL causes a warning', async (context) => {
  const external = { authorities: makeAuthority('Household').pem }
  const service = await startTestService(context, { external })
  assert.ok(service.logText().includes('no CERTLATCH_CRL_FILE'))
  const { ready, checks, crlNumber } = await service.readiness()
  assert.ok(ready)
  assert.equal(checks['crl']?.detail, 'none is configured: nothing can be revoked')
  assert.equal(crlNumber, undefined)
  assert.equal(await service.metric('certlatch_crl_next_update_timestamp_seconds'), 0)
})

test('A file that this user may not read is named with the reason', async (context) => {
  const dataDir = await temporaryFolder()
  // With a start that has ended: a running one keeps replacing its own file.
  await (await startTestService(context, { dataDir })).stop()
  const { sessionKeys } = dataPaths(dataDir)
  await chmod(sessionKeys, 0)
  // Root can read everything, so the test switches to another user for a moment.
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    await giveAway(dataDir, 12_345)
    process.seteuid?.(12_345)
    context.after(() => process.seteuid?.(0))
  }
  assert.deepEqual(await startProblems({ CERTLATCH_DATA_DIR: dataDir }), [
    `${sessionKeys} may not be read by this user`,
  ])
})

async function giveAway(folder: string, user: number): Promise<void> {
  await chown(folder, user, user)
  for (const entry of await readdir(folder, { recursive: true })) {
    await chown(join(folder, entry), user, user)
  }
}

/** Which large parts a service has loaded once it has answered these paths of its admin listener. */
async function loadedAfter(...paths: readonly string[]) {
  const script = fileURLToPath(new URL('../support/loaded-program.js', import.meta.url))
  const any = '127.0.0.1:0'
  const env = {
    CERTLATCH_PROXY: 'caddy',
    CERTLATCH_DATA_DIR: join(await temporaryFolder(), 'data'),
    ...{ CERTLATCH_LISTEN: any, CERTLATCH_ADMIN_LISTEN: any, CERTLATCH_PAGES_LISTEN: any },
  }
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...paths], { env })
  return JSON.parse(stdout)
}

test('A service loads nothing large that it does not need yet', async () => {
  assert.deepEqual(await loadedAfter('/healthz', '/readyz', '/status'), [])
})

test('A service that is scraped loads the metrics library', async () => {
  assert.deepEqual(await loadedAfter('/metrics'), ['prom-client'])
})
