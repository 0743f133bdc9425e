import type { DialectName } from '../proxy/dialects.ts'
import { headerOf } from './answers.ts'
import type { Answer, Observation } from './probe.ts'

/** A request line that each proxy refuses in words of its own. */
export const ODD_REQUEST = 'GET / HTTP/x\r\n\r\n'

/** Which proxy this looks like, by what it says to `ODD_REQUEST` and in ordinary answers. */
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
  // The server of Go's library, which says the same wherever it runs; Caddy has told its name.
  return /^400 Bad Request/.test(page.body) ? 'traefik' : undefined
}

const isCaddy = (answer: Answer): boolean =>
  headerOf(answer, 'server') === 'Caddy' || /\bCaddy\b/.test(headerOf(answer, 'via'))
