import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createTerminal } from '../../src/cli/terminal.ts'

const failure = (code: string) => Object.assign(new Error(code), { code })

function createStreams() {
  const stdout = new PassThrough({ encoding: 'utf8' })
  const stderr = new PassThrough({ encoding: 'utf8' })
  return { stdout, stderr, terminal: createTerminal({ stdout, stderr }) }
}

test('Results go to standard output unchanged, everything else to standard error', () => {
  const { stdout, stderr, terminal } = createStreams()
  terminal.print('ready')
  terminal.note('next: certlatch serve')
  terminal.warn('the clock is late')
  terminal.warn('the clock is late')
  terminal.error('nothing listens there', 'is it running?')
  terminal.error('no more to say')
  assert.equal(stdout.read(), 'ready\n')
  assert.deepEqual(stderr.read().split('\n'), [
    'next: certlatch serve',
    'warning: the clock is late',
    'error: nothing listens there',
    'hint: is it running?',
    'error: no more to say',
    '',
  ])
})

test('Text from others stays on one line and cannot control the terminal', () => {
  const { stderr, terminal } = createStreams()
  terminal.error('unknown option "--\u001b]0;title\u0007\n"')
  assert.equal(stderr.read(), 'error: unknown option "--\\u{1b}]0;title\\u{7}\\u{a}"\n')
})

test('A closed pipe is not an error, and a full disk loses only what is being written', () => {
  const { stdout, stderr } = createStreams()
  for (const stream of [stdout, stderr]) {
    stream.emit('error', failure('EPIPE'))
    stream.emit('error', failure('ENOSPC'))
  }
})
