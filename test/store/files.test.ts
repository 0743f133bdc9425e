import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import fileSystem, {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  describeFileError,
  errorCode,
  MODE,
  replaceFile,
  writeDurably,
} from '../../src/store/files.ts'
import { temporaryFolder } from '../support/service.ts'

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => assert.fail('this must fail'),
    (error: unknown) => error,
  )

test('A file is created and replaced with exactly the requested permissions, whatever the umask', async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'file')
  const before = process.umask(0o077)
  try {
    await replaceFile(path, 'one', MODE.public)
    assert.equal((await stat(path)).mode & 0o777, 0o644)
    await replaceFile(path, Buffer.from('two'), MODE.secret)
  } finally {
    process.umask(before)
  }
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(await readFile(path, 'utf8'), 'two')
  assert.deepEqual(await readdir(folder), ['file'])
})

test('A replaced file is a new file, so that readers of the old one can read it to its end', async () => {
  const path = join(await temporaryFolder(), 'file')
  await replaceFile(path, 'one', MODE.secret)
  const { ino } = await stat(path)
  await replaceFile(path, 'two', MODE.secret)
  assert.notEqual((await stat(path)).ino, ino)
})

test('A new file belongs to the owner of its folder', async () => {
  const folder = await temporaryFolder()
  // Only root can change a file's owner; for other users it is the same before and after.
  const isRoot = process.getuid?.() === 0
  if (isRoot) await chown(folder, 12_345, 54_321)
  const { uid, gid } = await stat(folder)
  const path = join(folder, 'file')
  await replaceFile(path, 'content', MODE.secret)
  const written = await stat(path)
  assert.deepEqual([written.uid, written.gid], [uid, gid])
})

test("A failed replacement leaves nothing behind and throws the system's error", async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'folder')
  await mkdir(path)
  await writeFile(join(path, 'inside'), '')
  assert.equal(errorCode(await failureOf(replaceFile(path, 'content', MODE.secret))), 'EISDIR')
  assert.deepEqual(await readdir(folder), ['folder'])
  const nowhere = join(folder, 'missing', 'file')
  assert.equal(errorCode(await failureOf(replaceFile(nowhere, 'content', MODE.secret))), 'ENOENT')
})

test('File errors are described in words that can follow a path', async () => {
  const folder = await temporaryFolder()
  const file = join(folder, 'file')
  const loop = join(folder, 'loop')
  await writeFile(file, '')
  await symlink(loop, loop)
  const told = async (path: string) => describeFileError(await failureOf(readFile(path)))
  assert.equal(await told(join(folder, 'missing')), 'does not exist')
  assert.equal(await told(folder), 'is not a file')
  assert.equal(await told(join(file, 'below')), 'has something in its path that is not a folder')
  assert.equal(await told(loop), 'is a symbolic link that leads nowhere')
  const coded = (code: string) => Object.assign(new Error(code), { code })
  assert.equal(describeFileError(coded('EACCES')), 'may not be read by this user')
  const refused = (syscall: string) => Object.assign(coded('EACCES'), { syscall })
  assert.equal(describeFileError(refused('open')), 'may not be read by this user')
  for (const syscall of ['mkdir', 'rename', 'unlink', 'chown']) {
    assert.equal(describeFileError(refused(syscall)), 'may not be written by this user')
  }
  assert.equal(describeFileError(coded('ENOSPC')), 'cannot be written: the disk is full')
  assert.match(describeFileError(coded('EMFILE')), /^cannot be opened: .* \(ulimit -n\)$/)
  assert.equal(describeFileError(coded('EROFS')), 'is on a read-only file system')
  assert.equal(describeFileError(coded('EIO')), 'cannot be used (EIO)')
  assert.equal(describeFileError(new Error('odd')), 'cannot be used (Error: odd)')
  assert.equal(describeFileError('odd'), 'cannot be used (odd)')
  assert.equal(errorCode(Object.assign(new Error('odd'), { code: 7 })), undefined)
})

test('A folder that is not writable is reported as such', async (t) => {
  const folder = await temporaryFolder()
  const { open } = fileSystem
  const set = (value: unknown) => {
    Object.assign(fileSystem, { open: value })
    syncBuiltinESMExports()
  }
  t.after(() => set(open))
  // As the system refuses it to all but root.
  const refused = Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'open' })
  set((path: string, flags: number, ...more: unknown[]) =>
    (flags & constants.O_CREAT) === 0
      ? (open as (...values: unknown[]) => unknown)(path, flags, ...more)
      : Promise.reject(refused),
  )
  const path = join(folder, 'file')
  for (const write of [replaceFile, writeDurably]) {
    const failure = await failureOf(write(path, '', MODE.secret))
    assert.equal(describeFileError(failure), 'may not be written by this user')
    assert.equal((failure as NodeJS.ErrnoException).path, path)
  }
})

test('The mode of the folder does not affect what is written into it', async () => {
  const folder = await temporaryFolder()
  await chmod(folder, 0o700)
  const path = join(folder, 'file')
  await replaceFile(path, '', MODE.public)
  assert.equal((await stat(path)).mode & 0o777, 0o644)
  assert.equal((await stat(path)).size, 0)
})
