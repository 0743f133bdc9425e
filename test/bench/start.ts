import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeScene } from './scene.ts'
import { measureStarts, writeStarts } from './starts.ts'
import { makeStartTargets } from './targets.ts'

/** How long certlatch takes to start, and its memory: `start.js [times]`, beside a bare server. */
const [times = '21'] = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 'certlatch-start-'))
try {
  const starts = await measureStarts(await makeStartTargets(folder, makeScene()), Number(times))
  process.stdout.write(`Node ${process.version}\n\n${writeStarts(starts)}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
