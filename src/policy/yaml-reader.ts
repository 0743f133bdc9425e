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

/** A text and its offset in the file. */
export interface Written {
  readonly text: string
  readonly at: number
}

/** Collects problems and warnings about the file; `at` is an offset in it. */
export interface Diagnostics {
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

/** A value that is not read yet: the function that reads it decides what is allowed there. */
export interface Value {
  readonly key: Written
  readonly node: ParsedNode | null
  readonly document: Document.Parsed
}

/** Quotes a person's text in a message. */
export const quote = (text: string): string =>
  text.length > 100 ? `${JSON.stringify(text.slice(0, 100))}…` : JSON.stringify(text)

/**
 * Reads YAML 1.2 with every value as a text, so that `on` and `12` are what is written there. After a
 * syntax error, which is reported, nothing of the file is used.
 */
export function readFields(text: string, keys: readonly string[], diagnostics: Diagnostics) {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
  })
  for (const { message, pos } of [...document.errors, ...document.warnings]) {
    diagnostics.problem(pos[0], `is not valid YAML: ${message}`)
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
    document.errors.length + document.warnings.length > 0 || reportAliases(document, diagnostics)
  return { fields: isBroken ? undefined : fieldsOf(whole, 'the file', keys, diagnostics), place }
}

/** Each one is looked up in the whole file. */
const MAX_ALIASES = 100

/** Reports what is wrong with the aliases; returns whether anything is, so that the rest is not read. */
function reportAliases(document: Document.Parsed, diagnostics: Diagnostics): boolean {
  const aliases: Alias.Parsed[] = []
  visit(document, { Alias: (_, alias) => void aliases.push(alias as Alias.Parsed) })
  const [first] = aliases.slice(MAX_ALIASES)
  if (first !== undefined) {
    const what = `has ${aliases.length} aliases such as *${first.source}`
    diagnostics.problem(first.range[0], `${what}: expected ${MAX_ALIASES} at most`)
    return true
  }
  const unknown = aliases.filter((alias) => alias.resolve(document) === undefined)
  for (const { source, range } of unknown) {
    diagnostics.problem(range[0], `*${source} refers to nothing: expected &${source} before it`)
  }
  return unknown.length > 0
}

/** The pairs of a map; reports unknown keys. */
export function fieldsOf(
  value: Value,
  what: string,
  keys: readonly string[],
  diagnostics: Diagnostics,
): Fields | undefined {
  const node = resolved(value.node, value.document)
  if (!isMap(node)) {
    diagnostics.problem(positionOf(value), `${what} has no keys: expected ${listOf(keys, 'or')}`)
    return undefined
  }
  const fields = new Map<string, Value>()
  for (const inner of pairsOf(node, value)) {
    const { text, at } = inner.key
    if (!keys.includes(text)) {
      diagnostics.problem(at, `unknown key ${quote(text)}: expected ${listOf(keys, 'or')}`)
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

/** The single text of a value. */
export function textOf(value: Value | undefined, diagnostics: Diagnostics): Written | undefined {
  if (value === undefined) return undefined
  const node = resolved(value.node, value.document)
  const at = positionOf(value)
  if (isScalar(node) && node.value !== '') return { text: String(node.value), at }
  const found = isMap(node) || isSeq(node) ? 'is not a single value' : 'is empty'
  diagnostics.problem(at, `${value.key.text} ${found}: give it one, or leave the key out`)
  return undefined
}

/** One text or a list of them; `undefined` without the key. */
export function textsOf(
  value: Value | undefined,
  diagnostics: Diagnostics,
): readonly Written[] | undefined {
  if (value === undefined) return undefined
  const items = itemsOf(value)
  if (items.length === 0) {
    diagnostics.problem(
      positionOf(value),
      `${value.key.text} is an empty list: name at least one, or leave the key out for any`,
    )
  }
  return items.flatMap((item) => textOf(item, diagnostics) ?? [])
}

/** The members of a list; a single value counts as a list of one. */
export function itemsOf(value: Value): readonly Value[] {
  const node = resolved(value.node, value.document)
  if (!isSeq(node)) return [value]
  const { key, document } = value
  return node.items.map((item) => ({ key, node: item, document }))
}

/** Names, each alone or with its own values. */
export function entriesOf(value: Value | undefined, diagnostics: Diagnostics): readonly Entry[] {
  if (value === undefined) return []
  return itemsOf(value).flatMap((item): readonly Entry[] => {
    const node = resolved(item.node, item.document)
    if (!isMap(node)) {
      const name = textOf(item, diagnostics)
      return name === undefined ? [] : [{ name, values: undefined }]
    }
    return pairsOf(node, item).map((pair) => ({
      name: pair.key,
      values: textsOf(pair, diagnostics),
    }))
  })
}

export const positionOf = ({ key, node }: Value): number => node?.range[0] ?? key.at

/** `a, b or c`. */
export function listOf(words: readonly string[], conjunction: 'and' | 'or'): string {
  return words.join(', ').replace(/, (?=[^,]*$)/, ` ${conjunction} `)
}

/** The node that an alias refers to. */
function resolved(node: ParsedNode | null, document: Document.Parsed): ParsedNode | null {
  return isAlias(node) ? (node.resolve(document) as ParsedNode) : node
}
