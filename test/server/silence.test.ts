import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { watchSilence } from '../../src/server/cluster/silence.ts'

/** A worker that is watched, by a clock that stands still unless it is told to go on. */
function watched(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const told: number[] = []
  const silence = watchSilence((seconds) => told.push(seconds))
  context.after(() => silence.close())
  return { silence, told, pass: (seconds: number) => context.mock.timers.tick(seconds * 1_000) }
}

test('A worker that never says anything is told of after a minute, once', (context) => {
  const { told, pass } = watched(context)
  pass(60)
  assert.deepEqual(told, [])
  pass(1)
  assert.deepEqual(told, [60])
  pass(1_000)
  assert.deepEqual(told, [60])
})

test('One that has said something is told of after fifteen seconds without another word', (context) => {
  const { silence, told, pass } = watched(context)
  pass(50)
  silence.hear()
  pass(15)
  silence.hear()
  pass(15)
  assert.deepEqual(told, [])
  pass(1)
  assert.deepEqual(told, [15])
})

test('One that has ended is not told of', (context) => {
  const { silence, told, pass } = watched(context)
  silence.close()
  pass(1_000)
  assert.deepEqual(told, [])
})
