import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { optionOf, type SettingName } from '../src/config/options.ts'
import { repository } from './support/repository.ts'

const ROOT = repository()
/** With one space where a line is broken. */
const prose = (name: string): string =>
  readFileSync(join(ROOT, name), 'utf8').replaceAll(/\s+/g, ' ')
const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'))
  .join('\n')

/** What a document says, and the constant that makes it true. */
const FIGURES: readonly (readonly [document: string, says: string, constant: string])[] = [
  ['docs/ca.md', 'The CA lasts ten years', 'const AUTHORITY_DAYS = 3653'],
  ['docs/configuration.md', 'more than twice a second', 'const POLL_MILLISECONDS = 400'],
  ['ARCHITECTURE.md', 'every 0.4 seconds', 'const POLL_MILLISECONDS = 400'],
  ['docs/devices.md', '1,095 days (three years) by default', 'const CERTIFICATE_DAYS = 1_095'],
  ['docs/devices.md', 'keeps working for 14 days', 'const OVERLAP_SECONDS = 14 * 86_400'],
  ['docs/devices.md', 'confirm within five seconds', 'const TIMEOUT_MILLISECONDS = 5_000'],
  ['docs/devices.md', 'for at most 30 seconds', 'const TIMEOUT_MILLISECONDS = 30_000'],
  ['docs/devices.md', 'every ten seconds', 'const WRITE_MILLISECONDS = 10_000'],
  ['docs/operations.md', 'signing after five seconds', 'const AFTER_SECONDS = 5'],
  ['docs/operations.md', 'one line an hour', 'const SESSION_WINDOW_MILLISECONDS = 3_600_000'],
  ['docs/reasons.md', 'more than 48 KiB of headers', 'const MAX_HEADER_BYTES = 48 * 1024'],
  ['docs/reasons.md', 'larger than 16 KiB', 'const MAX_CERTIFICATE_BYTES = 16 * 1024'],
]

for (const [document, says, constant] of FIGURES) {
  test(`${document} says "${says}", and so does the code`, () => {
    assert.ok(prose(document).includes(says), says)
    assert.ok(sources.includes(constant), constant)
  })
}

/** What a document says of a setting's default. */
const DEFAULTS: readonly (readonly [document: string, says: string, SettingName, string])[] = [
  ['README.md', 'for an hour, renewed', 'CERTLATCH_SESSION_TTL', '1h'],
  ['README.md', 'for a day at most', 'CERTLATCH_SESSION_MAX_AGE', '24h'],
  ['docs/scaling.md', 'one in 15 minutes', 'CERTLATCH_SESSION_TTL', '1h'],
  [
    'docs/operations.md',
    'http://127.0.0.1:9181/readyz',
    'CERTLATCH_ADMIN_LISTEN',
    '127.0.0.1:9181',
  ],
  ['docs/operations.md', "reads Traefik's header", 'CERTLATCH_PROXY', 'traefik'],
]

for (const [document, says, setting, value] of DEFAULTS) {
  test(`${document} says "${says}", which is the default of ${setting}`, () => {
    assert.ok(prose(document).includes(says), says)
    assert.equal(optionOf(setting).default, value)
  })
}
