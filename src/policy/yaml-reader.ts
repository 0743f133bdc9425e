import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'

/** A text, and where in the file it stands. */
export interface Written {
  readonly text: string
  readonly at: number
}

/** What is to be said about the file, each with its place. */
export interface Notes {
  problem(at: number, sentence: string): void
  warning(at: number, sentence: string): void
}

/** A name, alone or with a value or several: `cast-media`, `local-network: 192.168.1.0/24`. */
export interface Entry {
  readonly name: Written
  readonly values: readonly Written[] | undefined
}

/** The value of each key of a map. */
export type Fields = ReadonlyMap<string, Value>

/** Not read yet: what may stand there is said by the function that reads it. */
export interface Value {
  readonly key: Written
  readonly node: ParsedNode | null
  readonly document: Document.Parsed
}

/** A person's words in a message. */
export const quote = (text: string): string =>
  text.length > 100 ? `${JSON.stringify(text.slice(0, 100))}…` : JSON.stringify(text)

/**
 * Reads YAML 1.2 in which every value is a text, so that neither `on` nor `12` is anything else than
 * what is written there. What breaks the syntax is told, and nothing of the file is used then.
 */
export function openFile(text: string, keys: readonly string[], notes: Notes) {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
  })
  for (const { message, pos } of [...document.errors, ...document.warnings]) {
    notes.problem(pos[0], `is not YAML as it should be: ${message}`)
  }
  const place = (at: number): string => {
    const { line, col } = lines.linePos(at)
    return `line ${line}, column ${col}`
  }
  const whole: Value = {
    key: { text: 'the file', at: 0 },
    node: document.contents,
    document,
  }
  const isBroken =
    document.errors.length + document.warnings.length > 0 || tellOfAliases(document, notes)
  return { fields: isBroken ? undefined : fieldsOf(whole, 'the file', keys, notes), place }
}

/** Each is looked up in the whole file. */
const MAX_ALIASES = 100

/** Whether there is something wrong with them; the rest of the file is not looked at then. */
function tellOfAliases(document: Document.Parsed, notes: Notes): boolean {
  const aliases: Alias.Parsed[] = []
  visit(document, { Alias: (_, alias) => void aliases.push(alias as Alias.Parsed) })
  const [first] = aliases.slice(MAX_ALIASES)
  if (first !== undefined) {
    const what = `has ${aliases.length} aliases such as *${first.source}`
    notes.problem(first.range[0], `${what}: expected ${MAX_ALIASES} at most`)
    return true
  }
  const unknown = aliases.filter((alias) => alias.resolve(document) === undefined)
  for (const { source, range } of unknown) {
    notes.problem(range[0], `*${source} stands for nothing: expected &${source} before it`)
  }
  return unknown.length > 0
}

/** The pairs of a map; tells of keys that are not known. */
export function fieldsOf(
  value: Value,
  what: string,
  keys: readonly string[],
  notes: Notes,
): Fields | undefined {
  const node = resolved(value.node, value.document)
  if (!isMap(node)) {
    notes.problem(positionOf(value), `${what} has no keys: expected ${listOf(keys, 'or')}`)
    return undefined
  }
  const fields = new Map<string, Value>()
  for (const inner of pairsOf(node, value)) {
    const { text, at } = inner.key
    if (!keys.includes(text)) {
      notes.problem(at, `unknown key ${quote(text)}: expected ${listOf(keys, 'or')}`)
    }
    fields.set(text, inner)
  }
  return fields
}

function pairsOf(map: YAMLMap.Parsed, { document }: Value): readonly Value[] {
  return map.items.map(({ key, value }) => {
    const text = isScalar(key) ? String(key.value) : ''
    return { key: { text, at: key.range[0] }, node: value, document }
  })
}

/** The one text that stands there. */
export function textOf(value: Value | undefined, notes: Notes): Written | undefined {
  if (value === undefined) return undefined
  const node = resolved(value.node, value.document)
  const at = positionOf(value)
  if (isScalar(node) && node.value !== '') return { text: String(node.value), at }
  const found = isMap(node) || isSeq(node) ? 'is not a single value' : 'is empty'
  notes.problem(at, `${value.key.text} ${found}: give it one, or leave the key out`)
  return undefined
}

/** One text or a list of them; `undefined` without the key. */
export function textsOf(value: Value | undefined, notes: Notes): readonly Written[] | undefined {
  if (value === undefined) return undefined
  const items = itemsOf(value)
  if (items.length === 0) {
    notes.problem(
      positionOf(value),
      `${value.key.text} is an empty list: name what it is for, or leave the key out for any`,
    )
  }
  return items.flatMap((item) => textOf(item, notes) ?? [])
}

/** The members of a list; what is no list is its own only member. */
export function itemsOf(value: Value): readonly Value[] {
  const node = resolved(value.node, value.document)
  if (!isSeq(node)) return [value]
  const { key, document } = value
  return node.items.map((item) => ({ key, node: item, document }))
}

/** Names, each alone or as the key of values of its own. */
export function entriesOf(value: Value | undefined, notes: Notes): readonly Entry[] {
  if (value === undefined) return []
  return itemsOf(value).flatMap((item): readonly Entry[] => {
    const node = resolved(item.node, item.document)
    if (!isMap(node)) {
      const name = textOf(item, notes)
      return name === undefined ? [] : [{ name, values: undefined }]
    }
    return pairsOf(node, item).map((pair) => ({
      name: pair.key,
      values: textsOf(pair, notes),
    }))
  })
}

export const positionOf = ({ key, node }: Value): number => node?.range[0] ?? key.at

/** `a, b or c`. */
export function listOf(words: readonly string[], conjunction: 'and' | 'or'): string {
  return words.join(', ').replace(/, (?=[^,]*$)/, ` ${conjunction} `)
}

/** What an alias stands for. */
function resolved(node: ParsedNode | null, document: Document.Parsed): ParsedNode | null {
  return isAlias(node) ? (node.resolve(document) as ParsedNode) : node
}
