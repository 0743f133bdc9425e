import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ADAPTIVE_CASES } from '../contract/adaptive.ts'
import type { Case } from '../contract/case.ts'
import { CASES } from '../contract/contract.ts'
import type { Protocol } from './client.ts'
import {
  type Change,
  type Gate,
  type ProxyKind,
  startGate,
  startWorld,
  type World,
} from './gate.ts'
import { repositoryFolder } from './tools.ts'

const PROTOCOLS: readonly Protocol[] = ['HTTP/1.1', 'HTTP/2']

/** A line of a shipped file that is taken out or spoiled, and the case that then fails. */
export interface Mutation extends Change {
  /** Changes under which the line matters at all; the case holds with them alone. */
  readonly under?: readonly Change[]
  /** The beginning of the case's name. */
  readonly shows: string
  readonly protocol?: Protocol
  /** What the failing case says. */
  readonly because: RegExp
}

/** A line that no case can miss here, and why it is shipped all the same. */
export interface Unshown {
  readonly file: string
  readonly text: string
  readonly reason: string
}

/** Taken out: as a comment, which all these files write with `#`, and Lua with `--`. */
export const without = (file: string, text: string): Change => ({
  file,
  text,
  becomes: `${file.endsWith('.lua') ? '--' : '#'} ${text}`,
})

/**
 * Runs all cases with the shipped configuration, then every mutation with its own configuration.
 */
export function testProxy(
  kind: ProxyKind,
  mutations: readonly Mutation[],
  unshown: readonly Unshown[],
): () => World {
  let world: World
  let gate: Gate
  before(async () => {
    world = await startWorld(kind)
    gate = await startGate(world)
  })
  after(async () => {
    await gate?.close()
    await world?.close()
  })
  for (const { name, protocols = PROTOCOLS, proxies, endsProxy, run } of CASES) {
    if (proxies && !proxies.includes(kind.dialect)) continue
    for (const protocol of protocols) {
      test(`${name} [${protocol}]`, () =>
        endsProxy ? withGate(world, [], (own) => run(own, protocol)) : run(gate, protocol))
    }
  }
  for (const { name, run } of ADAPTIVE_CASES) test(name, () => showAdaptive(kind, run))
  for (const mutation of mutations) {
    const { file, text, becomes } = mutation
    const [first = ''] = text.trim().split('\n')
    const instead = becomes.startsWith('#') || becomes === '' ? '' : `, not ${becomes.trim()}`
    test(`${file} needs "${first}"${instead}: ${mutation.shows}…`, () =>
      showMutation(world, mutation))
  }
  test('each line of the shipped files is shown to be needed, or has a reason why it cannot be', () => {
    const known = [...mutations, ...unshown]
    for (const file of kind.files.filter((name) => !name.endsWith('.lua'))) {
      const texts = known.filter((entry) => entry.file === file).map(({ text }) => text)
      assert.deepEqual(linesWithout(kind.dialect, file, texts), [], file)
    }
  })
  return () => world
}

async function showAdaptive(kind: ProxyKind, run: Case['run']): Promise<void> {
  const world = await startWorld(kind, 'external', { CERTLATCH_DENIAL: 'adaptive' })
  try {
    await withGate(world, [], async (gate) => {
      for (const protocol of PROTOCOLS) await run(gate, protocol)
    })
  } finally {
    await world.close()
  }
}

async function showMutation(world: World, mutation: Mutation): Promise<void> {
  const { under = [], protocol = 'HTTP/1.1', because } = mutation
  const { run } = caseNamed(mutation.shows)
  if (under.length > 0) await withGate(world, under, (gate) => run(gate, protocol))
  await withGate(world, [...under, mutation], async (gate) => {
    const failure = await run(gate, protocol).then(
      () => undefined,
      (error: Error) => error,
    )
    assert.ok(failure, `changed, "${mutation.shows}" still holds`)
    assert.match(failure.message, because)
  })
}

/** The lines that none of the texts touches; braces and comments aside. */
function linesWithout(dialect: string, file: string, texts: readonly string[]): readonly string[] {
  const shipped = readFileSync(join(repositoryFolder(), 'deploy', dialect, file), 'utf8')
  let offset = 0
  return shipped.split('\n').filter((line) => {
    const start = offset
    offset += line.length + 1
    const content = line.trim()
    if (/^(#.*|[{}]*)$/.test(content)) return false
    return !texts.some((text) => {
      const at = shipped.indexOf(text)
      return at !== -1 && at < start + line.length && at + text.length > start
    })
  })
}

function caseNamed(beginning: string): Case {
  const found = CASES.filter(({ name }) => name.startsWith(beginning))
  const [only] = found
  if (only === undefined || found.length > 1) throw new Error(`no one case begins "${beginning}"`)
  return only
}

/** A proxy with the shipped configuration so changed, for the time of `use`. */
export async function withGate(
  world: World,
  changes: readonly Change[],
  use: (gate: Gate) => Promise<void>,
): Promise<void> {
  const gate = await startGate(world, changes)
  try {
    await use(gate)
  } finally {
    await gate.close()
  }
}
