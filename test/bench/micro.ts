import { verifyCertificate } from '../../src/certificate/verify.ts'
import { DIALECTS } from '../../src/proxy/dialects.ts'
import { createVerdictCache } from '../../src/server/verify/verdict-cache.ts'
import { verifyToken } from '../../src/session/token.ts'
import { certificateHeader, makeScene } from './scene.ts'

// Single functions in a loop, each call's time in microseconds; prints one line of JSON.

/** More than any of certlatch's caches holds: requested in turn, each is new every time. */
const MORE_CERTIFICATES_THAN_REMEMBERED = 2_500
const MORE_SESSIONS_THAN_REMEMBERED = 12_000
const BATCHES = 25
const BATCH_MILLISECONDS = 20
const WARM_UP_MILLISECONDS = 200

export interface Micro {
  readonly name: string
  /** Microseconds a call: of all batches. */
  readonly median: number
  readonly least: number
}

let sink: unknown

/** Batches long enough for the clock, and many, for the machine is never quiet. */
function measure(name: string, call: (index: number) => unknown): Micro {
  let index = 0
  const batch = (milliseconds: number): number => {
    const startedAt = performance.now()
    const first = index
    let elapsed = 0
    while (elapsed < milliseconds) {
      for (let count = 0; count < 50; count += 1) {
        sink = call(index)
        index += 1
      }
      elapsed = performance.now() - startedAt
    }
    return (elapsed * 1000) / (index - first)
  }
  batch(WARM_UP_MILLISECONDS)
  const times = Array.from({ length: BATCHES }, () => batch(BATCH_MILLISECONDS))
  times.sort((a, b) => a - b)
  return { name, least: times[0] ?? 0, median: times[BATCHES >> 1] ?? 0 }
}

const scene = makeScene()
const issuers = [scene.issuer]
const newCache = () =>
  createVerdictCache(
    issuers,
    scene.keyRing,
    DIALECTS.traefik.encoding,
    { hits: 0, misses: 0 },
    { spend: (_, __, check) => check() },
  )

const certificates = Array.from({ length: MORE_CERTIFICATES_THAN_REMEMBERED }, () =>
  scene.issueCertificate(),
)
const headers = certificates.map((der) => Object.values(certificateHeader('traefik', der))[0] ?? '')
const tokens = Array.from({ length: MORE_SESSIONS_THAN_REMEMBERED }, () => scene.mintSession())
const cache = newCache()
const of = <T>(list: readonly T[], index: number): T => list[index % list.length] as T

const results: readonly Micro[] = [
  measure('certificate, DER: parse and verify', (index) =>
    verifyCertificate(of(certificates, index), issuers),
  ),
  measure('certificate header, never seen before', (index) =>
    cache.verifyCertificate(of(headers, index)),
  ),
  measure('certificate header, known', () => cache.verifyCertificate(of(headers, 0))),
  measure('session cookie: MAC and content', (index) =>
    verifyToken(of(tokens, index), scene.keyRing),
  ),
  measure('session cookie, never seen before', (index) => cache.verifyToken(of(tokens, index))),
  measure('session cookie, known', () => cache.verifyToken(of(tokens, 0))),
]
if (sink === undefined) throw new Error('nothing was measured')
process.stdout.write(`${JSON.stringify(results)}\n`)
