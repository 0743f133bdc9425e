import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fixtureFile } from './pki.ts'

/**
 * A terminal session as a test. `#` begins a comment, `$` a command, `!` a line on standard error;
 * an unmarked line is standard output, and `[exit N]` ends a command's output. `…` in an expected
 * line matches any text. `-- path --` begins a file, which extends to the end or to the next one;
 * files exist before the first command. `-- path < name --` is a file of test/fixtures/.
 */
export interface Transcript {
  readonly steps: readonly Step[]
  readonly files: readonly { readonly path: string; readonly content: string | Buffer }[]
}

export interface Step {
  /** `CERTLATCH_PROXY=caddy certlatch serve --help`; values in single quotes may have spaces. */
  readonly command: string
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  readonly exitCode: number
}

export interface Outcome {
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  readonly exitCode: number
}

/** The compiled program, as shipped. */
export const MAIN: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export function parseTranscript(text: string): Transcript {
  const [session = '', ...fileParts] = text.split(/^(?=-- .+ --$)/m)
  const files = fileParts.map((part) => {
    const end = part.indexOf('\n')
    const [path = '', fixture] = part.slice(3, end - 3).split(' < ')
    return { path, content: fixture === undefined ? part.slice(end + 1) : fixtureFile(fixture) }
  })
  const steps: Step[] = []
  let open: { command: string; stdout: string[]; stderr: string[] } | undefined
  for (const line of session.trimEnd().split('\n')) {
    const exit = /^\[exit (\d+)\]$/.exec(line)
    if (open === undefined) {
      if (line.startsWith('$ ')) open = { command: line.slice(2), stdout: [], stderr: [] }
      else if (line !== '' && !line.startsWith('#')) throw new Error(`not in a step: ${line}`)
    } else if (exit !== null) {
      steps.push({ ...open, exitCode: Number(exit[1]) })
      open = undefined
    } else if (line.startsWith('! ')) {
      open.stderr.push(line.slice(2))
    } else if (line === '!') {
      open.stderr.push('')
    } else {
      open.stdout.push(line)
    }
  }
  if (open !== undefined) throw new Error(`no [exit N] after: ${open.command}`)
  return { steps, files }
}

/** Runs the commands one after another in an empty directory with nothing but PATH around them. */
export async function playTranscript({ steps, files }: Transcript): Promise<readonly Outcome[]> {
  const directory = await mkdtemp(join(tmpdir(), 'certlatch-transcript-'))
  try {
    for (const { path, content } of files) {
      await mkdir(dirname(join(directory, path)), { recursive: true })
      await writeFile(join(directory, path), content)
    }
    const outcomes: Outcome[] = []
    for (const { command } of steps) outcomes.push(await runCertlatch(command, directory))
    return outcomes
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Whether an expected line, in which `…` is any text, is the line that came. */
export function matchesLine(expected: string, actual: string): boolean {
  const parts = expected.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(actual)
}

const { NODE_V8_COVERAGE } = process.env
/** What has been run of the program counts for its coverage. */
const COVERAGE = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }

const WORD = /(?:'[^']*'|[^\s'])+/g

function runCertlatch(command: string, directory: string): Promise<Outcome> {
  const words = [...command.matchAll(WORD)].map(([word]) => word.replaceAll("'", ''))
  const program = words.indexOf('certlatch')
  if (program === -1) throw new Error(`not a call of certlatch: ${command}`)
  const environment = {
    ...Object.fromEntries(
      words.slice(0, program).map((assignment) => assignment.split(/=(.*)/s, 2)),
    ),
    ...COVERAGE,
  }
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...words.slice(program + 1)],
      { cwd: directory, env: environment, timeout: 20_000 },
      (_error, stdout, stderr) => {
        const exitCode = child.exitCode ?? -1
        resolve({ stdout: linesOf(stdout), stderr: linesOf(stderr), exitCode })
      },
    )
  })
}

const linesOf = (output: string): readonly string[] =>
  output === '' ? [] : output.replace(/\n$/, '').split('\n')
