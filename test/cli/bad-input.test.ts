import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { certlatch, initialized, type TestDirectory, treeOf } from '../support/command.ts'
import { fixturePath } from '../support/pki.ts'

/** What a person may get wrong: the words, the exit code, and what to say. */
const BAD: readonly (readonly [argv: string, exitCode: 1 | 2, said: RegExp])[] = [
  ['device show Fone', 1, /no device "Fone"\nhint: certlatch device list shows all$/],
  ['device renew Fone', 1, /no device "Fone"\nhint: certlatch device list shows all$/],
  ['device revoke Fone', 1, /no device "Fone"\nhint: certlatch device list shows all$/],
  ['device sign-out Fone', 1, /no device "Fone"\nhint: certlatch device list shows all$/],
  ['device add Phone', 1, /a device "Phone" already\nhint: certlatch device renew issues it a new/],
  ['device add phone', 1, /a device "Phone" already\nhint: names have to differ in more than/],
  ['device add Ada', 1, /"Ada" is the owner of "Phone".*\nhint: choose another name/],
  [
    'device add Tablet --owner Phone',
    1,
    /also the name of a device.*\nhint: choose another owner$/,
  ],
  ['device add Tablet --days 0', 2, /--days is "0": expected a whole number from 1 to 3653$/],
  ['device add Tablet --days -1', 2, /\nhint: see certlatch device add --help$/],
  ['device add Tablet --days 1.5', 2, /--days is "1\.5": expected a whole number/],
  ['device add Tablet --days 99999999', 2, /expected a whole number/],
  ['device add Tablet --csr CA.PEM', 2, /is not a certificate signing request \(PKCS #10\)/],
  ['device add Tablet --csr /no/file', 2, /--csr \/no\/file does not exist$/],
  [
    'device add Tablet --certificate LEAF.PEM',
    1,
    /no CA in .* has signed it, so it is never accepted$/,
  ],
  [
    'device block --certificate LEAF.PEM',
    1,
    /has signed it, so it is never accepted; there is noth/,
  ],
  ['device block --serial 4f', 2, /--serial and --issuer go together$/],
  ['device revoke Phone --reason lost', 2, /--reason is "lost": expected unspecified, keyCom/],
  [
    'device revoke Phone --serial 4f',
    1,
    /no certificate 4f\nhint: certlatch device show lists those/,
  ],
  ['device renew Phone --overlap x', 2, /--overlap is "x": expected a duration up to 400d/],
  ['key rotate --after x', 2, /--after is "x": expected a duration up to 1d/],
  ['ca renew --days 0', 2, /--days is "0": expected a whole number from 1 to 36500$/],
  ['init', 1, /has been initialized before, and nothing in it is overwritten/],
  ['init --adopt CA.PEM', 2, /--adopt expects two files/],
]

async function withPhone(passphrase?: string): Promise<TestDirectory> {
  const directory = await initialized({ passphrase })
  await addDevice(
    { ...directory.change(), passphrase },
    { name: 'Phone', owner: 'Ada' },
    directory.issue({ folder: undefined }),
  )
  return directory
}

/** Nothing changes, and the output is an error line and at most one hint. */
async function assertRefused(
  { dataDir }: TestDirectory,
  argv: readonly string[],
  exitCode: 1 | 2,
  said: RegExp,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  const before = await treeOf(join(dataDir, '..'))
  const outcome = await certlatch(argv, { CERTLATCH_DATA_DIR: dataDir, ...environment })
  assert.equal(outcome.exitCode, exitCode, outcome.stderr)
  assert.match(outcome.stderr, /^error: .*\n(?:hint: .*\n)?$/, 'one error, one hint')
  assert.match(outcome.stderr.trimEnd(), said)
  assert.equal(outcome.stdout, '')
  assert.deepEqual(await treeOf(join(dataDir, '..')), before)
}

describe('Bad input is reported in one line with a hint, and changes nothing', () => {
  const files: Readonly<Record<string, string>> = {
    'CA.PEM': fixturePath('ca-p256'),
    'LEAF.PEM': fixturePath('leaf-good'),
  }
  for (const [words, exitCode, said] of BAD) {
    test(`certlatch ${words}`, async () => {
      const argv = words.split(' ').map((word) => files[word] ?? word)
      await assertRefused(await withPhone(), argv, exitCode, said)
    })
  }
})

const SIGNING = [
  ['device', 'add', 'Tablet'],
  ['device', 'renew', 'Phone'],
  ['device', 'revoke', 'Phone'],
  ['ca', 'renew'],
] as const

describe("Without the CA's key nothing is signed, and nothing changes", () => {
  for (const argv of SIGNING) {
    test(`certlatch ${argv.join(' ')}`, async () => {
      const directory = await withPhone('correct horse')
      await assertRefused(
        directory,
        argv,
        1,
        /ca\.key is encrypted\nhint: set CERTLATCH_CA_PASSPHRASE_/,
      )
      await assertRefused(
        directory,
        argv,
        1,
        /ca\.key cannot be decrypted: the passphrase is wro/,
        {
          CERTLATCH_CA_PASSPHRASE: 'wrong',
        },
      )
      await writeFile(directory.paths.authorityKey, 'nonsense')
      await assertRefused(directory, argv, 1, /ca\.key is not a private key in PEM$/)
    })
  }
})

const CHANGING = [
  ...SIGNING,
  ['device', 'sign-out', 'Phone'],
  ['key', 'rotate'],
  ['key', 'rotate', '--now'],
] as const

describe('A directory that this user may not write to is reported, and nothing changes', () => {
  for (const argv of CHANGING) {
    test(`certlatch ${argv.join(' ')}`, async (context) => {
      const directory = await withPhone()
      const { privateFolder } = directory.paths
      const isRoot = process.getuid?.() === 0
      await mkdir(join(privateFolder, 'running'), { recursive: true })
      const before = await treeOf(directory.dataDir)
      // Root may write everywhere, so it switches to another user who may read everything.
      if (isRoot) {
        for (const name of Object.keys(before)) {
          await chmod(join(directory.dataDir, name), before[name]?.includes(' ') ? 0o644 : 0o755)
        }
        await chmod(join(directory.dataDir, '..'), 0o755)
        await chmod(directory.dataDir, 0o755)
        await chmod(join(privateFolder, 'lock'), 0o755)
        process.seteuid?.(12_345)
        context.after(() => process.seteuid?.(0))
      } else {
        await chmod(privateFolder, 0o500)
        await chmod(join(privateFolder, 'lock'), 0o500)
      }
      const said = /may not be (?:read|written|changed) by this user/
      await assertRefused(directory, argv, 1, said)
    })
  }
})

test('While another writer is at work, a command names it and changes nothing', async () => {
  const { dataDir, paths } = await withPhone()
  const before = await treeOf(dataDir)
  const held = await acquireLock(paths.privateFolder, { who: 'ca renew', waitMilliseconds: 0 })
  assert.ok(held.ok)
  const waiting = await acquireLock(paths.privateFolder, { who: 'x', waitMilliseconds: 0 })
  assert.ok(!waiting.ok)
  assert.match(waiting.problem, /ca renew/)
  await held.lock.release()
  assert.deepEqual(await treeOf(dataDir), before)
})
