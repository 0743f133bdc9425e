import { domainToASCII } from 'node:url'
import { comparableName } from '../certificate/identity.ts'
import { type Networks, overlap, parseNetworks } from '../proxy/networks.ts'
import { isMethod, readHost } from '../proxy/original-request.ts'
import { readRequestPath } from '../proxy/request-path.ts'
import {
  ACCESS,
  type Access,
  type ConditionalRule,
  type Holders,
  includesPath,
  type Paths,
} from './policy.ts'
import { PRESETS } from './presets/presets.ts'
import { type Diagnostics, listOf, quote, type Written } from './yaml-reader.ts'

/** A rule as written in the policy file or in a preset; `undefined` where a key is missing. */
export interface RuleDraft {
  readonly name: string
  readonly at: number
  readonly host: readonly Written[] | undefined
  readonly path: readonly Written[] | undefined
  readonly methods: readonly Written[] | undefined
  readonly from: readonly Written[] | undefined
  readonly device: readonly Written[] | undefined
  readonly owner: readonly Written[] | undefined
  readonly access: Written | undefined
  /** Whether it may expose what no rule should expose by mistake. */
  readonly mayExposeAnything: boolean
  readonly mayExposeProxies: boolean
  readonly isPreset: boolean
}

/** Makes the rule, and reports everything that is wrong with it. */
export function compileRule(
  draft: RuleDraft,
  trustedProxies: Networks,
  diagnostics: Diagnostics,
): ConditionalRule {
  const access = readAccess(draft, diagnostics)
  const from = draft.from && readFrom(draft.from, diagnostics)
  const paths = draft.path && readPaths(draft.path, diagnostics)
  if (access === 'open') {
    if (!draft.mayExposeAnything) reportWideAccess(draft, paths, diagnostics)
    if (!draft.mayExposeProxies) reportProxyNetworks(draft, from, trustedProxies, diagnostics)
  }
  return {
    name: draft.name,
    access,
    holders: readHolders(draft, access, diagnostics),
    conditions: {
      hosts: draft.host && readEach(draft.host, readHostName, diagnostics),
      paths,
      methods: draft.methods && readEach(draft.methods, readMethod, diagnostics),
      from,
    },
  }
}

type Reading = { readonly value: string } | { readonly problem: string }

function readEach(
  texts: readonly Written[],
  read: (text: string) => Reading,
  diagnostics: Diagnostics,
): ReadonlySet<string> {
  const values = new Set<string>()
  for (const { text, at } of texts) {
    const reading = read(text)
    if ('value' in reading) values.add(reading.value)
    else diagnostics.problem(at, reading.problem)
  }
  return values
}

/** A rule with a wrong access gets the strictest one; its file is refused in any case. */
function readAccess({ access, at, name }: RuleDraft, diagnostics: Diagnostics): Access {
  const found = ACCESS.find((word) => word === access?.text)
  if (found !== undefined) return found
  const expected = `expected ${listOf(ACCESS, 'or')}`
  if (access === undefined) diagnostics.problem(at, `${quote(name)} has no access: ${expected}`)
  else diagnostics.problem(access.at, `access ${quote(access.text)} does not exist: ${expected}`)
  return 'deny'
}

function readHostName(text: string): Reading {
  const subject = `host ${quote(text)}`
  if (text.includes('/')) return { problem: `${subject} is more than a name: write the host alone` }
  if (text.includes('*')) {
    return { problem: `${subject} has a "*": name each host, or leave host out for any` }
  }
  if (/[^ -~]/.test(text)) {
    const ascii = domainToASCII(text)
    const hint = ascii === '' ? '' : `: write it as browsers send it, ${quote(ascii)}`
    return { problem: `${subject} has characters that browsers do not send${hint}` }
  }
  const read = readHost(text)
  if (read === undefined) return { problem: `${subject} is not a host name` }
  if (read.port === undefined) return { value: read.host }
  return { problem: `${subject} has a port: rules are for all ports, write ${quote(read.host)}` }
}

function readMethod(text: string): Reading {
  const subject = `method ${quote(text)}`
  if (!isMethod(text) || text.includes('*')) {
    return { problem: `${subject} is not a method such as GET; leave methods out for any` }
  }
  const upper = text.toUpperCase()
  return upper === text
    ? { value: text }
    : { problem: `${subject} is not in capitals: write ${quote(upper)}` }
}

function readFrom(texts: readonly Written[], diagnostics: Diagnostics): Networks | undefined {
  for (const { text, at } of texts) {
    const parsed = parseNetworks([text])
    if (parsed.ok) continue
    for (const problem of parsed.problems) diagnostics.problem(at, `network ${problem}`)
  }
  const parsed = parseNetworks(texts.map(({ text }) => text))
  return parsed.ok ? parsed.networks : undefined
}

function readPaths(texts: readonly Written[], diagnostics: Diagnostics): Paths {
  const exact = new Set<string>()
  const below: string[] = []
  for (const { text, at } of texts) {
    const problem = pathProblem(text)
    if (problem !== undefined) {
      diagnostics.problem(at, `path ${quote(text)} ${problem}`)
      continue
    }
    const literal = readRequestPath(bytesOf(text.replace(/\*$/, ''))).literal
    if (text.endsWith('*')) below.push(literal)
    else exact.add(literal)
  }
  return { exact, below }
}

/** As Node represents header values: one char for each byte. */
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

const LIKE_A_REGULAR_EXPRESSION = /\.\*|\.\+|[\\^[\]{}|]|\$$/
const FORM = 'write an exact path such as /a, or one such as /a/* for everything below it'

function pathProblem(text: string): string | undefined {
  if (LIKE_A_REGULAR_EXPRESSION.test(text)) return `looks like a regular expression: ${FORM}`
  if (!text.startsWith('/')) return `does not begin with "/": ${FORM}`
  if (/[?#]/.test(text)) return 'has a query or fragment: rules are for the path before it'
  if (/\*(?!$)|[^/]\*$/.test(text)) return `has a "*" that is not its end, after a "/": ${FORM}`
  if (/\p{Cc}/u.test(text)) return 'has control characters'
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return 'has a "%" without two hex digits'
  const { certain } = readRequestPath(bytesOf(text.replace(/\*$/, '')))
  return certain === undefined
    ? undefined
    : 'can be read in several ways: write it without "//", ".", "..", ";" and encoded separators'
}

function readHolders(
  { device = [], owner = [], access: written }: RuleDraft,
  access: Access,
  diagnostics: Diagnostics,
): readonly Holders[] {
  const [named] = [...device, ...owner]
  if (named === undefined) return []
  if (access === 'open' || (access === 'deny' && written?.text === 'deny')) {
    const what = `device and owner have no effect where access is ${access}: leave them out`
    diagnostics.problem(named.at, what)
  }
  const namesOf = (texts: readonly Written[]) =>
    new Map(texts.map(({ text }) => [comparableName(text), text]))
  return [{ devices: namesOf(device), owners: namesOf(owner) }]
}

/** What no rule exposes on purpose: the whole application, its API, its login. */
const SENSITIVE = ['/', '/api/', '/api/websocket', '/auth/'] as const
const LOGIN = '/auth/'
const API = '/api/'

function reportWideAccess(
  { path: written, at, name }: RuleDraft,
  paths: Paths | undefined,
  diagnostics: Diagnostics,
): void {
  const place = written?.[0]?.at ?? at
  const intended = 'or write "dangerous: true" if that is intended'
  const exposed = SENSITIVE.find((path) => includesPath(paths, path))
  const named = paths === undefined ? [] : [...paths.exact, ...paths.below]
  const refused = exposed ?? named.find((path) => path.startsWith(LOGIN))
  if (refused !== undefined) {
    diagnostics.problem(
      place,
      `${quote(name)} grants access to ${refused} without certificate or session: name a narrower path, ${intended}`,
    )
    return
  }
  const unusual = named.find((path) => path.startsWith(API) && !isOfPreset(path))
  if (unusual !== undefined) {
    diagnostics.warning(
      place,
      `${quote(name)} grants everyone access to ${unusual}, which no preset needs: name a narrower path, ${intended}`,
    )
  }
}

/** Whether a rule of a preset, enabled or not, is for this path. */
function isOfPreset(path: string): boolean {
  return PRESETS.some(({ rules, switches }) =>
    [...rules, ...Object.values(switches).flatMap((choice) => choice.rules)].some(
      (rule) =>
        rule.path?.some(
          (known) => path === known || (known.endsWith('*') && path.startsWith(known.slice(0, -1))),
        ) ?? false,
    ),
  )
}

/** Behind the address translation of a container network every client has the proxy's address. */
function reportProxyNetworks(
  { from: written = [], name, isPreset }: RuleDraft,
  from: Networks | undefined,
  trustedProxies: Networks,
  diagnostics: Diagnostics,
): void {
  const [first] = written
  if (first === undefined || from === undefined || !overlap(from, trustedProxies)) return
  const intended = isPreset
    ? 'or, if that is intended, write a rule of your own with "dangerous: true" instead'
    : 'or write "dangerous: true" if that is intended'
  diagnostics.problem(
    first.at,
    `${quote(name)} grants access to a network with an address of CERTLATCH_TRUSTED_PROXIES, from which any client may seem to come: name a smaller network, ${intended}`,
  )
}
