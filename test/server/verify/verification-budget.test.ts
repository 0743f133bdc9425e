import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CertificateVerdict } from '../../../src/certificate/verify.ts'
import { parseNetworks } from '../../../src/proxy/networks.ts'
import {
  createVerificationBudget,
  type VerificationBudget,
} from '../../../src/server/verify/verification-budget.ts'

const BAD: CertificateVerdict = { ok: false, problem: 'certificate-untrusted' }
const GOOD = { ok: true } as CertificateVerdict
const ATTACKER = '203.0.113.7'
const HOUSEHOLD = '198.51.100.4'

/** A budget whose clock advances only during checks, and on request. */
function makeBudget(checkMilliseconds = 1) {
  const parsed = parseNetworks(['127.0.0.1', '10.0.0.0/8'])
  assert.ok(parsed.ok)
  const clock = { milliseconds: 5_000 }
  const budget = createVerificationBudget(parsed.networks, () => clock.milliseconds)
  let count = 0
  const show = (forwardedFor: string | undefined, verdict = BAD, key = `new ${count}`) => {
    count += 1
    return budget.spend(forwardedFor, key, () => {
      clock.milliseconds += checkMilliseconds
      return verdict
    })
  }
  /** Shows new bad certificates until one is turned away; how many were checked. */
  const flood = (forwardedFor: string | undefined): number => {
    for (let checked = 0; checked < 100_000; checked += 1) {
      if (show(forwardedFor) === undefined) return checked
    }
    assert.fail('nothing was turned away')
  }
  const pass = (milliseconds: number) => {
    clock.milliseconds += milliseconds
  }
  return { budget: budget satisfies VerificationBudget, show, flood, pass }
}

describe('A flood of new certificates', () => {
  test('is checked for some hundredths of a second, and then turned away', () => {
    const { flood, show } = makeBudget()
    const checked = flood(ATTACKER)
    assert.ok(checked > 30 && checked < 40, String(checked))
    assert.equal(show(ATTACKER), undefined)
  })

  test('gets a quarter of the time from then on, and a single address gets no more', () => {
    const { flood, show, pass } = makeBudget()
    flood(ATTACKER)
    let checked = 0
    // Ten seconds, with a request per millisecond; those that are checked take one more.
    for (let elapsed = 0; elapsed < 10_000; elapsed += 1) {
      if (show(ATTACKER) === undefined) pass(1)
      else checked += 1
    }
    assert.ok(checked > 2_300 && checked < 2_900, String(checked))
  })

  test('from any number of addresses, takes at most half of the time', () => {
    const { show, pass } = makeBudget()
    let checked = 0
    for (let elapsed = 0; elapsed < 20_000; elapsed += 1) {
      const address = `203.0.${elapsed % 113}.${elapsed % 251}`
      if (show(address) === undefined) pass(1)
      else checked += 1
    }
    assert.ok(checked > 9_500 && checked < 11_000, String(checked))
  })

  test('is forgotten seconds after it ends, however long it was', () => {
    const { show, pass, flood } = makeBudget()
    for (let elapsed = 0; elapsed < 60_000; elapsed += 1) {
      if (show(`203.0.${elapsed % 113}.${elapsed % 251}`) === undefined) pass(1)
    }
    pass(2_500)
    assert.ok(flood(ATTACKER) > 30)
  })

  test('from any number of addresses, turns away no new device at an address where one was before', () => {
    const { show, pass } = makeBudget()
    assert.equal(show(HOUSEHOLD, GOOD, 'the phone'), GOOD)
    const answers: unknown[] = []
    for (let elapsed = 0; elapsed < 20_000; elapsed += 1) {
      if (show(`203.0.${elapsed % 113}.${elapsed % 251}`) === undefined) pass(1)
      if (elapsed % 100 === 99) answers.push(show(HOUSEHOLD, GOOD))
    }
    assert.equal(answers.length, 200)
    assert.ok(answers.every((answer) => answer === GOOD))
    assert.equal(show('198.51.100.5', GOOD), undefined, 'no known client comes from here')
  })

  test('leaves a household its full allowance, however many certificates it has shown before', () => {
    const { show, pass, flood } = makeBudget(0.1)
    for (let count = 0; count < 5_000; count += 1) {
      assert.equal(show(HOUSEHOLD), BAD)
      pass(1)
    }
    flood(ATTACKER)
    for (let device = 0; device < 20; device += 1) assert.equal(show(HOUSEHOLD, GOOD), GOOD)
  })

  test('turns away no client at another address', () => {
    const { flood, show } = makeBudget()
    flood(ATTACKER)
    for (let device = 0; device < 10; device += 1) assert.equal(show(HOUSEHOLD, GOOD), GOOD)
    assert.equal(show(ATTACKER), undefined)
  })

  test('turns away new certificates at its own address, and only while it lasts', () => {
    const { flood, show, pass } = makeBudget()
    assert.equal(show(ATTACKER, GOOD, 'the phone'), GOOD)
    flood(ATTACKER)
    assert.equal(show(ATTACKER, GOOD, 'a new tablet'), undefined)
    assert.equal(show(ATTACKER, GOOD, 'the phone'), GOOD, 'it was good before')
    pass(500)
    assert.equal(show(ATTACKER, GOOD, 'a new tablet'), GOOD)
  })

  test('of slow checks costs as much time as one of quick ones', () => {
    const checked = makeBudget(5).flood(ATTACKER)
    assert.ok(checked > 5 && checked < 9, String(checked))
  })

  test('that is slower than a quarter of the time turns away no one, ever', () => {
    const { show, pass } = makeBudget()
    for (let count = 0; count < 20_000; count += 1) {
      assert.equal(show(ATTACKER), BAD)
      pass(4)
    }
  })
})

describe('What counts as one client', () => {
  const alike: readonly (readonly [string | undefined, string | undefined])[] = [
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9'],
    ['fe80::1%eth0', 'fe80::2'],
    [`1.2.3.4, ${ATTACKER}, 10.0.0.1`, ATTACKER],
    [undefined, 'nonsense'],
    ['10.0.0.1', '127.0.0.1'],
  ]
  for (const [one, other] of alike) {
    test(`${other} shares the allowance of ${one}`, () => {
      const { flood, show } = makeBudget()
      flood(one)
      assert.equal(show(other), undefined)
    })
  }

  test('another /64 is another client', () => {
    const { flood, show } = makeBudget()
    flood('2001:db8:1:2::1')
    assert.equal(show('2001:db8:1:3::1'), BAD)
  })
})

test('A bad certificate is not exempt, however often it was checked', () => {
  const { flood, show } = makeBudget()
  assert.equal(show(ATTACKER, BAD, 'bad'), BAD)
  flood(ATTACKER)
  assert.equal(show(ATTACKER, BAD, 'bad'), undefined)
})
