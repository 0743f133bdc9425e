import { claimInvitation } from '../../src/administration/claim-invitation.ts'

/** Claims an invitation as `serve` does: `claim-program.js <data directory> <code> <Unix seconds>`. */
const [dataDir = '', code = '', now = ''] = process.argv.slice(2)
const claimed = await claimInvitation(
  {
    ...{ dataDir, revocationList: undefined, host: 'ha.test', nowSeconds: Number(now) },
    exists: () => Promise.resolve(true),
    isAcceptable: () => Promise.resolve(true),
  },
  code,
  {
    ...{ nonce: process.env['NONCE'] ?? 'one', by: 'a test' },
    onUnmarked: (error) => process.stderr.write(`${String(error)}\n`),
  },
)
process.stdout.write(claimed.ok ? `${claimed.packages.password}\n` : `${claimed.problem}\n`)
