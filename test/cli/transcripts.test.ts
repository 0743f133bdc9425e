import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { matchesLine, parseTranscript, playTranscript } from '../support/transcript.ts'

/** Transcripts are not compiled: they are read where they were written. */
const FOLDER = join(import.meta.dirname, '../../../test/transcripts')

/** The actual lines, with the expected text substituted where it matches. */
const resolved = (expected: readonly string[], actual: readonly string[]): readonly string[] =>
  actual.map((line, index) => {
    const pattern = expected[index]
    return pattern !== undefined && matchesLine(pattern, line) ? pattern : line
  })

describe('The terminal session', { concurrency: 3 }, () => {
  for (const name of readdirSync(FOLDER)) {
    test(`${name} runs as written`, async () => {
      const transcript = parseTranscript(readFileSync(join(FOLDER, name), 'utf8'))
      assert.ok(transcript.steps.length > 0)
      const outcomes = await playTranscript(transcript)
      for (const [index, { command, stdout, stderr, exitCode }] of transcript.steps.entries()) {
        const outcome = outcomes[index]
        assert.ok(outcome)
        const actual = {
          command,
          stdout: resolved(stdout, outcome.stdout),
          stderr: resolved(stderr, outcome.stderr),
          exitCode: outcome.exitCode,
        }
        assert.deepEqual(actual, { command, stdout, stderr, exitCode })
      }
    })
  }
})

describe('A transcript', () => {
  test('has commands, their output on both streams, their exit code, and files', () => {
    const text = '# why\n$ certlatch x\nout\n\n! err\n!\n[exit 3]\n\n-- a/b --\n1\n-- c --\n2\n'
    assert.deepEqual(parseTranscript(text), {
      steps: [{ command: 'certlatch x', stdout: ['out', ''], stderr: ['err', ''], exitCode: 3 }],
      files: [
        { path: 'a/b', content: '1\n' },
        { path: 'c', content: '2\n' },
      ],
    })
  })
  test('with text outside a step, or with an unfinished step, is an error', () => {
    assert.throws(() => parseTranscript('certlatch x\n'), /not in a step: certlatch x/)
    assert.throws(() => parseTranscript('$ certlatch x\nout\n'), /no \[exit N\]/)
  })
  test('of another program is an error', async () => {
    const step = { command: 'ls', stdout: [], stderr: [], exitCode: 0 }
    await assert.rejects(playTranscript({ steps: [step], files: [] }), /not a call of certlatch/)
  })
  test('treats … as any text and everything else literally', () => {
    assert.ok(matchesLine('a…c', 'a(b)c'))
    assert.ok(matchesLine('a.c', 'a.c'))
    assert.ok(!matchesLine('a.c', 'abc'))
    assert.ok(!matchesLine('a…c', 'abcd'))
  })
})
