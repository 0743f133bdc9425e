import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Observed, observe } from '../../../src/server/admin/admin-service.ts'
import { createTally } from '../../../src/server/admin/tally.ts'
import { configOf, NOON_SECONDS } from '../../support/service.ts'

test('After the metrics could not be loaded, the next scrape tries again', async (context) => {
  const tally = createTally()
  const { duration } = tally
  let tries = 0
  Object.defineProperty(tally, 'duration', {
    get: () => {
      tries += 1
      if (tries === 1) throw new Error('not this time')
      return duration
    },
  })
  const { operations, close } = observe({
    config: configOf({}).config,
    version: '0.0.0-test',
    tally,
    nowSeconds: () => NOON_SECONDS,
  } as Observed)
  context.after(close)
  await assert.rejects(operations.metrics(''), /not this time/)
  // Loaded now; without a service behind it, its values cannot be read.
  await operations.metrics('').catch(() => undefined)
  assert.equal(tries, 2)
})
