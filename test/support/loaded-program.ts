import { createRequire } from 'node:module'
import { PassThrough } from 'node:stream'
import { run } from '../../src/cli/main.ts'

/**
 * Serves, answers the paths that are given at the admin listener, and prints which large parts are
 * loaded then: `loaded-program.js <path>…`.
 */
const { get } = process.getBuiltinModule('node:http')
const log = new PassThrough()
let stop = (): void => undefined
const stopped = new Promise<void>((resolve) => {
  stop = resolve
})
const ended = run(['serve'], process.env, { stdout: log, stderr: process.stderr }, () => stopped)
for await (const line of log) {
  const { msg, admin } = JSON.parse(String(line).trim().split('\n').at(-1) ?? '{}')
  if (msg !== 'ready') continue
  for (const path of process.argv.slice(2)) {
    await new Promise<void>((resolve, reject) => {
      const request = get(`http://${admin}${path}`, { agent: false }, (response) => {
        response.resume().once('end', resolve)
      })
      request.once('error', reject)
    })
  }
  break
}
const { moduleLoadList } = process as unknown as { readonly moduleLoadList: readonly string[] }
const files = Object.keys(createRequire(import.meta.url).cache)
const loaded = [
  ...moduleLoadList.filter((name) => name.endsWith('/undici')).map(() => 'fetch'),
  ...['prom-client', 'yaml'].filter((name) =>
    files.some((file) => file.includes(`/node_modules/${name}/`)),
  ),
]
process.stdout.write(JSON.stringify(loaded))
stop()
await ended
process.exit()
