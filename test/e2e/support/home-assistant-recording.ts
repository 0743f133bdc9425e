import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Question } from './home-assistant-recorder.ts'
import { repositoryFolder } from './tools.ts'

/**
 * A request of a recorded session, for tests that decide about it; the first few of many similar
 * ones.
 */
export type RecordedRequest = Pick<Question, 'method' | 'uri' | 'headers'> & {
  /** Who sent it: the page in a browser, or another client. */
  readonly from: 'browser' | 'app' | 'automation'
}

const FILE = join(repositoryFolder(), 'test/vectors/home-assistant-session.json')
const KEPT_OF_A_KIND = 2

/** Requests that differ only in a file's name, an entity or an id are of one kind. */
export function kindOf({ method, uri, headers }: RecordedRequest): string {
  const path = (uri.split('?')[0] ?? '').replace(/\/[^/]*$/, uri.startsWith('/api/') ? '$&' : '/')
  const plain = path.replace(/[0-9a-f]{32,}/g, '<id>').replace(/\/[a-z_]+\.[a-z_]+$/, '/<entity>')
  // Whether a file is loaded as a script or fetched depends on what comes first, the page or its worker.
  const { 'sec-fetch-mode': mode = '', upgrade = '' } = headers
  return [method, plain, mode === 'navigate' ? mode : '', upgrade].join(' ').trimEnd()
}

const withoutPort = (value: string): string => value.replace(/:\d+$/, '')

/** The first few of each kind, in the order in which they came. */
export function recordingOf(requests: readonly RecordedRequest[]): readonly RecordedRequest[] {
  const counts = new Map<string, number>()
  return requests.filter((request) => {
    const kind = kindOf(request) + JSON.stringify(Object.keys(request.headers))
    const count = (counts.get(kind) ?? 0) + 1
    counts.set(kind, count)
    return count <= KEPT_OF_A_KIND
  })
}

export function readRecording(): readonly RecordedRequest[] {
  return (JSON.parse(readFileSync(FILE, 'utf8')) as { requests: readonly RecordedRequest[] })
    .requests
}

export function writeRecording(about: string, requests: readonly RecordedRequest[]): void {
  const lines = recordingOf(requests).map((request) => `    ${JSON.stringify(ported(request))}`)
  writeFileSync(
    FILE,
    `{\n  "about": ${JSON.stringify(about)},\n  "requests": [\n${lines.join(',\n')}\n  ]\n}\n`,
  )
}

/** The port was the system's choice; a household has 443. */
function ported({ method, uri, headers, from }: RecordedRequest): RecordedRequest {
  const plain = Object.entries(headers).map(([name, value]) => [name, withoutPort(value)])
  return { from, method, uri, headers: Object.fromEntries(plain) }
}
