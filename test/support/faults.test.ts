import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crashPoints, runWithFault } from './faults.ts'
import { temporaryFolder } from './service.ts'

// Seven changes: mkdir, open, writeFile, sync, close, rename, and the folder's sync.
const PROGRAM = `
  import { mkdir, open, readFile, rename, utimes } from 'node:fs/promises'
  await mkdir('lock')
  const handle = await open('lock/7', 'wx', 0o600)
  await handle.writeFile('content')
  await handle.sync()
  await handle.close()
  await utimes('lock/7', new Date(), new Date())
  await rename('lock/7', 'lock/8')
  const folder = await open('lock')
  await folder.sync()
  await folder.close()
  console.log(await readFile('lock/8', 'utf8'))
`
const CHANGES = ['mkdir', 'open', 'writeFile', 'sync', 'close', 'rename', 'sync']

/** A folder with a program in it. */
async function folderWithProgram(source: string): Promise<string> {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'program.mjs'), source)
  return folder
}

test('A program is killed before each of its changes in turn, and finally runs to its end', async () => {
  const cwd = await folderWithProgram(PROGRAM)
  const left: (readonly string[])[] = []
  const points = await crashPoints(
    'kill',
    (fault) => runWithFault(['program.mjs'], fault, { cwd }),
    async ({ exitCode, isStruck, stdout }) => {
      assert.equal(exitCode, isStruck ? undefined : 0)
      assert.equal(stdout, isStruck ? '' : 'content\n')
      const names = await readdir(join(cwd, 'lock')).catch(() => ['no folder'])
      const content = await readFile(join(cwd, 'lock', '7'), 'utf8').catch(() => 'no file')
      left.push([...names, content])
      await rm(join(cwd, 'lock'), { recursive: true, force: true })
    },
  )
  assert.equal(points, CHANGES.length)
  assert.deepEqual(left, [
    ['no folder', 'no file'],
    ['no file'],
    ['7', ''],
    ['7', 'content'],
    ['7', 'content'],
    ['7', 'content'],
    ['8', 'no file'],
    ['8', 'no file'],
  ])
})

test('Instead of being killed it gets the error of a full, read-only or broken disk', async () => {
  const cwd = await folderWithProgram(
    `process.on('uncaughtException', (error) => {
       console.log(error.code, error.syscall)
       process.exitCode = 3
     })
     ${PROGRAM}`,
  )
  for (const kind of ['ENOSPC', 'EROFS', 'EIO'] as const) {
    const seen: string[] = []
    const points = await crashPoints(
      kind,
      (fault) => runWithFault(['program.mjs'], fault, { cwd }),
      async ({ exitCode, isStruck, stdout, stderr }) => {
        await rm(join(cwd, 'lock'), { recursive: true, force: true })
        assert.equal(exitCode, isStruck ? 3 : 0, stderr)
        if (isStruck) seen.push(stdout.trim())
      },
    )
    assert.equal(points, CHANGES.length)
    assert.deepEqual(
      seen,
      CHANGES.map((change) => `${kind} ${change}`),
    )
  }
})

test('A program that swallows the error is still known to have met it', async () => {
  const cwd = await folderWithProgram(
    `import { mkdir } from 'node:fs/promises'
     await mkdir('folder').catch(() => undefined)`,
  )
  const outcome = await runWithFault(['program.mjs'], { at: 1, kind: 'EIO' }, { cwd })
  assert.deepEqual(outcome, { exitCode: 0, stdout: '', stderr: '', isStruck: true })
  assert.deepEqual(await readdir(cwd), ['program.mjs'])
})
