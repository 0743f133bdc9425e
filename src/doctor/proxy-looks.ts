import type { DialectName } from '../proxy/dialects.ts'
import { headerOf } from './answers.ts'
import type { Answer, Observation } from './probe.ts'

/** A request line that each proxy refuses in its own words. */
export const ODD_REQUEST = 'GET / HTTP/x\r\n\r\n'

/** Which proxy this looks like, from its answers to `ODD_REQUEST` and to ordinary requests. */
export function looksLike(
  odd: Observation,
  ordinary: readonly Observation[],
): DialectName | undefined {
  const answers = ordinary.filter((seen): seen is Answer => seen.kind === 'answer')
  const page = odd.kind === 'answer' ? odd : undefined
  const names = [...(page ? [page] : []), ...answers]
  if (names.some((answer) => isCaddy(answer))) return 'caddy'
  if (page === undefined) return undefined
  if (/<center>nginx/.test(page.body) || /^nginx/.test(headerOf(page, 'server'))) return 'nginx'
  if (/Your browser sent an invalid request/.test(page.body)) return 'haproxy'
  // Go's HTTP server answers the same in any program; Caddy was already recognized by name.
  return /^400 Bad Request/.test(page.body) ? 'traefik' : undefined
}

const isCaddy = (answer: Answer): boolean =>
  headerOf(answer, 'server') === 'Caddy' || /\bCaddy\b/.test(headerOf(answer, 'via'))
