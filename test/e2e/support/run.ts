import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CASES, type Case } from './cases.ts'
import type { Protocol } from './client.ts'
import {
  type Change,
  type Gate,
  type ProxyKind,
  startGate,
  startWorld,
  type World,
} from './gate.ts'

const PROTOCOLS: readonly Protocol[] = ['HTTP/1.1', 'HTTP/2']

/** A line of a shipped file that is taken out or spoiled, and the case that then fails. */
export interface Mutation {
  readonly name: string
  readonly change: readonly Change[]
  /** Changes under which the line matters at all; the case holds with them alone. */
  readonly under?: readonly Change[]
  /** The beginning of the case's name. */
  readonly shows: string
  readonly protocol?: Protocol
  /** What the failing case says. */
  readonly because: RegExp
}

/** Runs all cases at the shipped configuration, then every mutation at a configuration of its own. */
export function testProxy(kind: ProxyKind, mutations: readonly Mutation[]): () => World {
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
  for (const { name, protocols = PROTOCOLS, proxies, run } of CASES) {
    if (proxies && !proxies.includes(kind.dialect)) continue
    for (const protocol of protocols) {
      test(`${name} [${protocol}]`, () => run(gate, protocol))
    }
  }
  for (const mutation of mutations) {
    test(`the shipped line is needed: ${mutation.name}`, () => showMutation(world, mutation))
  }
  return () => world
}

async function showMutation(world: World, mutation: Mutation): Promise<void> {
  const { change, under = [], protocol = 'HTTP/1.1', because } = mutation
  const { run } = caseNamed(mutation.shows)
  if (under.length > 0) await withGate(world, under, (gate) => run(gate, protocol))
  await withGate(world, [...under, ...change], async (gate) => {
    const failure = await run(gate, protocol).then(
      () => undefined,
      (error: Error) => error,
    )
    assert.ok(failure, `without it, "${mutation.shows}" still holds`)
    assert.match(failure.message, because)
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
