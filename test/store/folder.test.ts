import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  describeFileError,
  MODE,
  makeFolder,
  removeTemporaries,
  renameFile,
  replaceFile,
  writeDurably,
} from '../../src/store/files.ts'
import { inFolder, openFolder, readOwnFile, removeFile } from '../../src/store/folder.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { afterCall, asRoot, giveAway, giveFolder, guise, swap } from '../support/another-user.ts'
import { temporaryFolder } from '../support/service.ts'

// Only Linux reaches what is in an open folder by a path.
const skip = process.platform === 'linux' ? false : 'the paths that are guarded are those of Linux'

/** A folder that another user owns, and a file beside it that is not theirs. */
async function scene(t: TestContext) {
  asRoot(t)
  const folder = await temporaryFolder()
  await chmod(folder, 0o755)
  const data = join(folder, 'data')
  const victim = join(folder, 'victim')
  const secret = join(victim, 'secret')
  await mkdir(data)
  await giveFolder(data)
  await mkdir(victim, { mode: 0o700 })
  await writeFile(secret, 'secret', { mode: 0o600 })
  return { data, victim, secret }
}

const isForeignLink = (error: unknown): boolean =>
  describeFileError(error).includes('and root does not follow it')

test('A file that is swapped for a link while it is written exposes nothing else', async (t) => {
  const { data, secret } = await scene(t)
  for (const [index, write] of [replaceFile, writeDurably].entries()) {
    const before = await guise(secret)
    const isFile = (path: string) => path.includes(`file${index}`)
    afterCall(t, 'open', isFile, async () => {
      const [name = ''] = (await readdir(data)).filter(isFile)
      await swap(join(data, name), secret)
    })
    await write(join(data, `file${index}`), 'ours', MODE.public)
    assert.equal(await guise(secret), before)
    assert.equal(await readFile(secret, 'utf8'), 'secret')
  }
})

test('A folder that is swapped for a link while it is created exposes nothing else', async (t) => {
  const { data, victim } = await scene(t)
  const path = join(data, 'devices')
  const before = await guise(victim)
  afterCall(
    t,
    'mkdir',
    (made) => made.endsWith('/devices'),
    () => swap(path, victim),
  )
  await assert.rejects(makeFolder(path, MODE.publicFolder))
  assert.equal(await guise(victim), before)
})

test('A lock whose file is swapped for a link touches and exposes nothing else', async (t) => {
  const { data, secret } = await scene(t)
  const path = join(data, 'lock', '1')
  const before = await guise(secret)
  afterCall(
    t,
    'writeFile',
    (written) => written.endsWith('/1'),
    () => swap(path, secret),
  )
  const options = { who: 'test', waitMilliseconds: 0 }
  assert.equal((await acquireLock(data, options)).ok, false)
  const acquired = await acquireLock(data, options)
  assert.ok(acquired.ok)
  const [name = ''] = (await readdir(join(data, 'lock'))).filter((entry) => /^\d+$/.test(entry))
  await swap(join(data, 'lock', name), secret)
  await acquired.lock.assertHeld().catch(() => undefined)
  await acquired.lock.release()
  assert.equal(await guise(secret), before)
})

test("Through another user's link, root creates, replaces, moves, removes and reads nothing", {
  skip,
}, async (t) => {
  const { data, victim, secret } = await scene(t)
  await writeFile(join(victim, 'x.0123456789ab.tmp'), '')
  const link = join(data, 'private')
  await symlink(victim, link)
  await symlink(secret, join(data, 'ca.key'))
  await giveAway(data)
  const before = await Promise.all([guise(victim), guise(secret)])
  const attempts: readonly (() => Promise<unknown>)[] = [
    () => replaceFile(join(link, 'secret'), 'ours', MODE.secret),
    () => writeDurably(join(link, 'new'), 'ours', MODE.secret),
    () => makeFolder(join(link, 'new'), MODE.secretFolder),
    () => renameFile(join(link, 'secret'), join(link, 'other')),
    () => removeFile(join(link, 'secret')),
    () => removeTemporaries(link),
    () => readOwnFile(join(link, 'secret')),
    () => readOwnFile(join(data, 'ca.key')),
    () => openFolder(link),
  ]
  for (const attempt of attempts) await assert.rejects(attempt(), isForeignLink, String(attempt))
  assert.deepEqual(await Promise.all([guise(victim), guise(secret)]), before)
  // Nor a link itself, which is only a name.
  await removeFile(join(data, 'ca.key'))
  assert.deepEqual(await readdir(data), ['private'])
  assert.equal(await readlink(link), victim)
})

test('An open folder stays the same after its name was swapped', { skip }, async (t) => {
  const { data, victim } = await scene(t)
  const path = join(data, 'private')
  await mkdir(path)
  const folder = await openFolder(path)
  await swap(path, victim)
  await writeFile(join(folder.path, 'x'), '')
  await folder.close()
  assert.deepEqual(await readdir(`${path}.swapped`), ['x'])
  assert.deepEqual(await readdir(victim), ['secret'])
})

test('Cleaning up removes what is in the folder, not what links in it lead to', async (t) => {
  const { data, victim } = await scene(t)
  const temporary = join(data, 'first-start.0123456789ab.tmp')
  await mkdir(join(temporary, 'devices'), { recursive: true })
  await writeFile(join(temporary, 'devices', 'x.json'), '')
  await symlink(victim, join(temporary, 'certificates'))
  await symlink(victim, join(data, 'ca.crt.0123456789ab.tmp'))
  await giveAway(data)
  await removeTemporaries(data, join(data, 'missing'))
  assert.deepEqual(await readdir(data), [])
  assert.deepEqual(await readdir(victim), ['secret'])
})

test('A link that only root can have created is followed', { skip }, async (t) => {
  asRoot(t)
  const folder = await openFolder('/proc/self')
  assert.ok((await readdir(folder.path)).includes('status'))
  await folder.close()
})

test('Anything but a file is not read as one, and a missing one is reported with its path', async (t) => {
  const { data } = await scene(t)
  await mkdir(join(data, 'folder'))
  await assert.rejects(readOwnFile(join(data, 'folder')), { code: 'EISDIR' })
  const missing = join(data, 'missing')
  await assert.rejects(readOwnFile(missing), { code: 'ENOENT', path: missing })
  await assert.rejects(readOwnFile(join(missing, 'x')), { code: 'ENOENT' })
  await removeFile(join(missing, 'x'))
  const failing = inFolder(data, ({ path }) => stat(join(path, 'missing')))
  await assert.rejects(failing, { path: missing, message: new RegExp(`'${missing}'`) })
})
