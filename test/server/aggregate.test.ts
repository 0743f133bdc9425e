import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Decision } from '../../src/decision.ts'
import {
  joinReadiness,
  lowestInForce,
  type Member,
  sumInto,
  surplusConnections,
} from '../../src/server/cluster/aggregate.ts'
import { restartDelay } from '../../src/server/cluster/crew.ts'
import { countDecision, createTally } from '../../src/server/metrics.ts'
import type { Check, Readiness } from '../../src/server/routes/operations.ts'

const ALLOWED: Decision = { allow: true, identity: undefined, via: 'rule', setSession: undefined }
const REFUSED: Decision = { allow: false, via: 'none', reason: 'nothing-shown' }

test('The sum of what several have counted is what one would have counted', () => {
  const event = fc.record({
    worker: fc.nat({ max: 2 }),
    isAllowed: fc.boolean(),
    seconds: fc.constantFrom(0, 0.00003, 0.004, 0.5, 7),
  })
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const one = createTally()
      const several = [createTally(), createTally(), createTally()]
      for (const { worker, isAllowed, seconds } of events) {
        const decision = isAllowed ? ALLOWED : REFUSED
        for (const tally of [one, several[worker] ?? one]) {
          countDecision(tally, decision, seconds)
          tally.cache.hits += 1
          tally.minted.opened += 2
        }
      }
      const total = createTally()
      sumInto(total, several)
      // Floating-point sums depend on the order.
      assert.ok(Math.abs(total.duration.sum - one.duration.sum) < 1e-9)
      total.duration.sum = one.duration.sum
      assert.deepEqual(total, one)
    }),
  )
})

test('Adding up again, or onto a part of the sum, counts nothing twice', () => {
  const [total, part] = [createTally(), createTally()]
  countDecision(part, REFUSED, 1)
  sumInto(total, [part])
  sumInto(total, [part])
  assert.equal(total.duration.count, 1)
  sumInto(total, [total, part])
  assert.equal(total.duration.count, 2)
  assert.equal(total.decisions.get('none nothing-shown'), 2)
})

test('Reloads are events of the files, not of the processes', () => {
  const [total, part] = [createTally(), createTally()]
  total.reloads = 1
  part.reloads = 1
  sumInto(total, [part, part])
  assert.equal(total.reloads, 1)
})

const CHECK: Check = { name: 'files', ok: true, detail: 'fine' }
const GOOD: Readiness = { ready: true, checks: [CHECK], keySet: 'k1', crlNumber: '10' }

interface Told {
  readonly readiness?: Partial<Readiness>
  readonly blocksNumber?: number
  readonly isServing?: boolean
  readonly silentMilliseconds?: number
  readonly connections?: number
}

const member = (number: number, told: Told = {}): Member => ({
  number,
  isServing: told.isServing ?? true,
  silentMilliseconds: told.silentMilliseconds ?? 0,
  report: {
    tally: createTally(),
    cacheEntries: 0,
    readiness: { ...GOOD, ...told.readiness },
    connections: told.connections ?? 0,
    blocksNumber: told.blocksNumber ?? 5,
    seen: [],
  },
})

const OWN = { crlNumber: '10', blocksNumber: 5, keySet: 'k1' }
const inForce = (...told: readonly Told[]) =>
  lowestInForce(
    OWN,
    told.map((one, index) => member(index + 1, one)),
  )

test('In force is what every process has', () => {
  assert.deepEqual(inForce(), OWN)
  assert.deepEqual(inForce({}, {}), OWN)
  assert.equal(inForce({ readiness: { crlNumber: '9' } }, {}).crlNumber, '9')
  assert.equal(inForce({ readiness: { crlNumber: '100' } }, {}).crlNumber, '10')
  assert.equal(inForce({}, { readiness: { crlNumber: undefined } }).crlNumber, undefined)
  assert.equal(inForce({ blocksNumber: 4 }, { blocksNumber: 6 }).blocksNumber, 4)
})

test('While the key sets differ, the one in force is none of them', () => {
  const { keySet } = inForce({ readiness: { keySet: 'k2' } }, {})
  assert.equal(keySet, 'k1+k2')
})

test('A worker counts before it serves, for it will serve with what it has', () => {
  assert.equal(inForce({ isServing: false, readiness: { crlNumber: '9' } }).crlNumber, '9')
})

const workersOf = ({ checks }: Readiness) => checks.find(({ name }) => name === 'workers')

test('All are ready when every worker is', () => {
  const joined = joinReadiness(GOOD, [member(1), member(2)], 2)
  assert.equal(joined.ready, true)
  assert.deepEqual(joined.checks, [CHECK, { name: 'workers', ok: true, detail: '2 of 2 serve' }])
})

test('A check that fails in one process fails, and says in which', () => {
  const failing = { ...CHECK, ok: false, detail: 'broken' }
  const one = joinReadiness(GOOD, [member(1), member(2, { readiness: { checks: [failing] } })], 2)
  assert.deepEqual(one.checks[0], { ...failing, detail: 'worker 2: broken' })
  const own = joinReadiness({ ...GOOD, checks: [failing] }, [member(1)], 1)
  assert.deepEqual(own.checks[0], failing)
})

test('One worker that is missing is told, and no reason to ask nobody', () => {
  const joined = joinReadiness(GOOD, [member(1), member(2, { isServing: false })], 2)
  assert.equal(joined.ready, true)
  assert.deepEqual(workersOf(joined), { name: 'workers', ok: false, detail: '1 of 2 serve' })
})

test('Without any worker, with one that is not ready, or not heard of, it is not ready', () => {
  assert.equal(joinReadiness(GOOD, [], 2).ready, false)
  assert.equal(joinReadiness({ ...GOOD, ready: false }, [member(1)], 1).ready, false)
  assert.equal(joinReadiness(GOOD, [member(1, { readiness: { ready: false } })], 1).ready, false)
  const silent = joinReadiness(GOOD, [member(1), member(2, { silentMilliseconds: 5_001 })], 2)
  assert.equal(silent.ready, false)
  assert.deepEqual(workersOf(silent), {
    name: 'workers',
    ok: false,
    detail: '2 of 2 serve; not heard of for seconds: 2',
  })
})

test('A worker that dies again and again is waited for ever longer, up to half a minute', () => {
  const delays = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000].map(restartDelay)
  assert.deepEqual(
    delays,
    [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000],
  )
})

for (const [own, all, surplus] of [
  [48, [48, 0], 24],
  [0, [48, 0], 0],
  [30, [30, 10, 8], 14],
  [9, [9, 0], 0],
  [10, [10, 0], 5],
  [30, [30, 24], 0],
  [3, [3], 0],
  [0, [0, 0], 0],
] as const) {
  test(`A worker with ${own} of ${all.join(' and ')} connections ends ${surplus}`, () => {
    const members = all.map((connections, index) => member(index + 1, { connections }))
    assert.equal(surplusConnections(own, members), surplus)
  })
}

for (const [what, told] of [
  ['does not serve yet', { isServing: false }],
  ['hangs', { silentMilliseconds: 3_000 }],
] as const) {
  test(`A worker ends none of its connections for one that ${what}`, () => {
    const members = [member(1, { connections: 60 }), member(2, told)]
    assert.equal(surplusConnections(60, members), 0)
    assert.equal(surplusConnections(60, [member(2, told)]), 0)
  })
}
