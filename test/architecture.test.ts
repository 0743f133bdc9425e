import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { test } from 'node:test'

/** The repository, from dist/ as well. */
function repository(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

const SRC = join(repository(), 'src')
const ARCHITECTURE = readFileSync(join(repository(), 'ARCHITECTURE.md'), 'utf8')

/** `server/start.ts`, with slashes on every system. */
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.split(sep).join('/'))

/** The top-level folder of a file, or the file itself. */
const roomOf = (file: string): string => file.split('/')[0] ?? file

/** Every relative import, of types and `import()` too, as a file of src/. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']*)'/g)]
  return specifiers.map(([, specifier = '']) =>
    relative(SRC, join(SRC, dirname(file), specifier))
      .split(sep)
      .join('/'),
  )
}

/** The level of each room, from the lists in ARCHITECTURE.md: first that of src, then that of server. */
function readLevels(index: 0 | 1): ReadonlyMap<string, number> {
  const [section = ''] = /## Levels.*?(?=\n## )/s.exec(ARCHITECTURE) ?? []
  const lists = [...section.matchAll(/```\n(.*?)```/gs)].map(([, list = '']) => list)
  const levels = new Map<string, number>()
  for (const line of (lists[index] ?? '').trim().split('\n')) {
    const [level, ...rooms] = line.split(/\s+/)
    for (const room of rooms) levels.set(room, Number(level))
  }
  return levels
}

const levels = readLevels(0)

function levelOf(room: string, of: ReadonlyMap<string, number> = levels): number {
  const level = of.get(room)
  assert.notEqual(level, undefined, `${room} stands in no level of ARCHITECTURE.md`)
  return level ?? Number.NaN
}

const wings = readLevels(1)
const serverFiles = files.filter((file) => file.startsWith('server/'))
const wingOf = (file: string): string => file.split('/')[1] ?? file

test('ARCHITECTURE.md lists every wing of the server, and each imports only from lower ones', () => {
  assert.deepEqual([...wings.keys()].sort(), [...new Set(serverFiles.map(wingOf))].sort())
  const upward = serverFiles.flatMap((file) =>
    importsOf(file)
      .filter((imported) => imported.startsWith('server/') && wingOf(imported) !== wingOf(file))
      .filter((imported) => levelOf(wingOf(imported), wings) >= levelOf(wingOf(file), wings))
      .map((imported) => `${file} imports ${imported}`),
  )
  assert.deepEqual(upward, [])
})

test('ARCHITECTURE.md lists every folder of src, and no other', () => {
  assert.ok(files.length > 0)
  assert.deepEqual([...levels.keys()].sort(), [...new Set(files.map(roomOf))].sort())
})

test('Every import leads to a file of src', () => {
  const known = new Set(files)
  const lost = files.flatMap((file) =>
    importsOf(file)
      .filter((imported) => !known.has(imported))
      .map((imported) => `${file} imports ${imported}`),
  )
  assert.deepEqual(lost, [])
})

test('A folder imports only from lower levels', () => {
  const upward = files.flatMap((file) =>
    importsOf(file)
      .filter((imported) => roomOf(imported) !== roomOf(file))
      .filter((imported) => levelOf(roomOf(imported)) >= levelOf(roomOf(file)))
      .map((imported) => `${file} imports ${imported}`),
  )
  assert.deepEqual(upward, [])
})

test('No file imports itself, directly or indirectly', () => {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      return
    }
    if (done.has(file)) return
    for (const imported of importsOf(file)) visit(imported, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  assert.deepEqual(cycles, [])
})

/** Core files above level 3. */
const CORE_FILES: ReadonlySet<string> = new Set(['decision.ts', 'decide.ts'])

/** Functions of texts and bytes, and libraries that only compute: values in, values out. */
const PURE_MODULES: ReadonlySet<string> = new Set([
  'node:buffer',
  'node:crypto',
  'node:url',
  'plist',
  'yaml',
])

test("The core uses only Node's cryptography, address and text functions, and pure libraries", () => {
  const core = files.filter((file) => levelOf(roomOf(file)) <= 3 || CORE_FILES.has(file))
  const foreign = core.flatMap((file) => {
    const text = readFileSync(join(SRC, file), 'utf8')
    const imports = [...text.matchAll(/import ([^']*?) from '([^.'][^']*)'/g)]
    return imports
      .filter(([, names = '', module = '']) => {
        if (PURE_MODULES.has(module)) return false
        return module !== 'node:net' || /[^\s{},]/.test(names.replace(/BlockList|isIP/g, ''))
      })
      .map(([, , module]) => `${file} imports ${module}`)
  })
  assert.deepEqual(foreign, [])
})

test('Every file that ARCHITECTURE.md names exists', () => {
  const named = [...ARCHITECTURE.matchAll(/`([\w./-]+\.(?:ts|json|md)|[a-z]+\/)`/g)].map(
    ([, name = '']) => name,
  )
  const missing = named.filter(
    (name) =>
      !existsSync(join(repository(), name)) &&
      !existsSync(join(SRC, name)) &&
      !files.some((file) => file.endsWith(`/${name}`) || file.includes(`/${name}`)),
  )
  assert.deepEqual(missing, [])
})
