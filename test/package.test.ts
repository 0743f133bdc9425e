import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { repository } from './support/repository.ts'
import { shippedEnvironment, shippedNodeOptions } from './support/shipped-environment.ts'

const ROOT = repository()
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const MANIFEST: {
  readonly version: string
  readonly private?: boolean
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
} = JSON.parse(read('package.json'))

const folder = mkdtempSync(join(tmpdir(), 'certlatch-package-'))
after(() => rmSync(folder, { recursive: true }))

const filesBelow = (path: string): readonly string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(path.length + 1))

describe('The npm package', () => {
  // Without prepack, which would compile into the folder that this runs from.
  const args = ['pack', '--ignore-scripts', '--offline', '--silent', '--pack-destination', folder]
  execFileSync('npm', args, { cwd: ROOT })
  const tarball = join(folder, `certlatch-${MANIFEST.version}.tgz`)
  const modules = join(folder, 'node_modules')
  const installed = join(modules, 'certlatch')
  // As npm lays it out: the package, a link to its program, and of all else what it declares.
  mkdirSync(join(modules, '.bin'), { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', folder])
  cpSync(join(folder, 'package'), installed, { recursive: true })
  for (const name of Object.keys(MANIFEST.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  const program = join(modules, '.bin', 'certlatch')
  symlinkSync('../certlatch/dist/src/cli/main.js', program)

  test('contains everything that src compiles to, and nothing that does not run', () => {
    const packed = filesBelow(installed)
    for (const path of filesBelow(join(ROOT, 'src'))) {
      const compiled = join('dist', 'src', path.replace(/\.ts$/, '.js'))
      assert.ok(packed.includes(compiled), compiled)
    }
    const others = packed.filter((path) => !/^dist\/src\/.*\.js$/.test(path))
    assert.deepEqual([...others].sort(), ['LICENSE', 'README.md', 'package.json'])
  })

  for (const args of [['--help'], ['serve', '--help'], ['--version']]) {
    test(`runs npx certlatch ${args.join(' ')}`, () => {
      const options = { cwd: folder, encoding: 'utf8' } as const
      const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], options)
      assert.deepEqual([status, stderr], [0, ''])
      assert.match(stdout, args[0] === '--version' ? /^(certlatch )?\d+\.\d+\.\d+\n$/ : /certlatch/)
    })
  }

  test('may be published, and is compiled first', () => {
    assert.equal(MANIFEST.private, undefined)
    // What was compiled from files that are gone must not get in.
    assert.equal(MANIFEST.scripts['prepack'], 'rm -rf dist/src && tsc')
  })
})

test('npm start runs with what the image runs with', () => {
  const { NODE_ENV: _, ...environment } = shippedEnvironment()
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const command = ['node', ...shippedNodeOptions(), 'dist/src/cli/main.js serve'].join(' ')
  assert.equal(MANIFEST.scripts['start'], `tsc && ${variables.join(' ')} exec ${command}`)
  assert.ok(read('docs/install.md').includes(`\n${variables.join(' ')} ${command}\n`))
})

describe('A release', () => {
  const workflows = readdirSync(join(ROOT, '.github/workflows')).map(
    (name) => [name, read(`.github/workflows/${name}`)] as const,
  )

  test('uses actions by commit, which cannot be moved as a tag can', () => {
    const uses = workflows.flatMap(([name, text]) =>
      [...text.matchAll(/^\s*-?\s*uses: (?!\.\/)(.*)$/gm)].map(([, action = '']) => [name, action]),
    )
    assert.ok(uses.length > 10)
    for (const [name, action = ''] of uses) {
      assert.match(action, /^[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, `${name}: ${action}`)
    }
  })

  test('uses the same commit for an action everywhere', () => {
    const commits = new Map<string, Set<string>>()
    for (const [, text] of workflows) {
      for (const [, action = '', commit = ''] of text.matchAll(/uses: ([\w/-]+)@(\S+)/g)) {
        commits.set(action, (commits.get(action) ?? new Set()).add(commit))
      }
    }
    for (const [action, found] of commits) assert.equal(found.size, 1, action)
  })

  test('waits for the tests, and requests no permission that its jobs do not name', () => {
    const release = read('.github/workflows/release.yml')
    assert.match(release, /^ {4}uses: \.\/\.github\/workflows\/ci\.yml$/m)
    for (const job of ['image', 'package']) {
      assert.match(release, new RegExp(`^ {2}${job}:\\n {4}needs: \\[ci, version\\]$`, 'm'))
    }
    for (const [name, text] of workflows) {
      assert.match(text, /^permissions:\n {2}contents: read\n\n/m, name)
    }
  })

  test('is published to npm with provenance, by a job in which no install script runs', () => {
    const [, job = ''] =
      /^ {2}package:\n(.*?)^ {2}\w+:$/ms.exec(read('.github/workflows/release.yml')) ?? []
    assert.match(job, /^ +- run: npm publish --access public --provenance$/m)
    assert.match(job, /^ +- run: npm ci --ignore-scripts$/m)
    assert.match(job, /package-manager-cache: false/)
  })

  test('has one image for both processors, without a step that runs on the other one', () => {
    assert.match(read('.github/workflows/release.yml'), /platforms: linux\/amd64,linux\/arm64\n/)
    const [, last = ''] = /\n(FROM (?:(?!\nFROM ).)*)$/s.exec(read('Dockerfile')) ?? []
    assert.match(last, /^COPY --from=files /m)
    assert.doesNotMatch(last, /^RUN /m)
    assert.doesNotMatch(last, /--from=(?!files )/)
  })

  /** What release-notes.sh says of a changelog. */
  function notesOf(tag: string, changelog: string, ...image: readonly string[]) {
    const copy = mkdtempSync(join(folder, 'notes-'))
    mkdirSync(join(copy, '.github'))
    cpSync(join(ROOT, '.github/release-notes.sh'), join(copy, '.github/release-notes.sh'))
    writeFileSync(join(copy, 'package.json'), '{\n  "version": "1.2.0",\n}\n')
    writeFileSync(join(copy, 'CHANGELOG.md'), changelog)
    const script = join(copy, '.github/release-notes.sh')
    const { status, stdout, stderr } = spawnSync(script, [tag, ...image], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }

  test('is described only by its section of the changelog', () => {
    const text =
      '# C\n\n## [1.2.0] - 2026-12-01\n\n### Added\n\n- A.\n\n## [1.1.0] - 2026-11-01\n- B.\n'
    const { status, stdout } = notesOf('v1.2.0', text)
    assert.deepEqual([status, stdout], [0, '\n### Added\n\n- A.\n\n'])
  })

  test('ends with the line for .env that names its image by version and digest', () => {
    const changelog = '## [1.2.0] - 2026-12-01\n\n- A.\n'
    const image = 'registry.example/certlatch:1.2.0@sha256:0123'
    const { status, stdout } = notesOf('v1.2.0', changelog, image)
    assert.equal(status, 0)
    assert.match(stdout, /^\n- A\.\n\n### The image\n/)
    assert.ok(stdout.endsWith(`\n\`\`\`\nRELEASED_IMAGE=${image}\n\`\`\`\n`), stdout)
    const release = read('.github/workflows/release.yml')
    assert.match(release, /release-notes\.sh "\$GITHUB_REF_NAME" "\$IMAGE" > notes\.md\n/)
    assert.match(read('docker-compose.yml'), /certlatch\$\{RELEASED_IMAGE:\+-released\}\.yml/)
  })

  for (const [what, tag, text, error] of [
    [
      'another version',
      'v1.3.0',
      '## [1.3.0] - 2026-12-01\n',
      'package.json does not have version 1.3.0',
    ],
    ['no section', 'v1.2.0', '## [Unreleased]\n', 'CHANGELOG.md has no section 1.2.0'],
    ['no date', 'v1.2.0', '## [1.2.0] - unreleased\n', 'CHANGELOG.md has no date for 1.2.0'],
  ] as const) {
    test(`with ${what} is refused`, () => {
      const { status, stdout, stderr } = notesOf(tag, text)
      assert.deepEqual([status, stdout], [2, ''])
      assert.match(stderr, new RegExp(`^error: ${error.replaceAll('.', '\\.')}\nhint: .+\n$`))
    })
  }

  test('has its section prepared', () => {
    assert.match(read('CHANGELOG.md'), new RegExp(`^## \\[${MANIFEST.version}\\] - `, 'm'))
  })
})
