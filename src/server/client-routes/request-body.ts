import type { IncomingMessage } from 'node:http'
import { parseObject } from '../../store/json-file.ts'

const MAX_BYTES = 16 * 1024
const DEADLINE_MILLISECONDS = 10_000

/** The submitted fields of a form or a JSON object. */
export interface SentFields {
  readonly kind: 'form' | 'json'
  /** The text of a field; `undefined` if it is missing, repeated, or not a text. */
  text(name: string): string | undefined
}

const kindOf = (req: IncomingMessage): SentFields['kind'] | undefined => {
  const [type = ''] = (req.headers['content-type'] ?? '').split(';')
  return KINDS.get(type.trim().toLowerCase())
}

/** Whether a page's form sent it. */
export const isForm = (req: IncomingMessage): boolean => kindOf(req) === 'form'

/** Reads a small body; `undefined` if it is too large, too slow, or of another type. */
export async function readFields(req: IncomingMessage): Promise<SentFields | undefined> {
  const kind = kindOf(req)
  const body = kind === undefined ? undefined : await readBody(req)
  if (kind === undefined || body === undefined) return undefined
  return kind === 'json' ? readJson(body) : readForm(body)
}

const KINDS: ReadonlyMap<string, SentFields['kind']> = new Map([
  ['application/json', 'json'],
  ['application/x-www-form-urlencoded', 'form'],
])

function readForm(body: string): SentFields {
  const fields = new URLSearchParams(body)
  return {
    kind: 'form',
    text: (name) => {
      const values = fields.getAll(name)
      return values.length === 1 ? values[0] : undefined
    },
  }
}

function readJson(body: string): SentFields | undefined {
  const fields = parseObject(body)
  return (
    fields && {
      kind: 'json',
      text: (name) => {
        const field = fields[name]
        return typeof field === 'string' ? field : undefined
      },
    }
  )
}

function readBody(req: IncomingMessage): Promise<string | undefined> {
  if (Number(req.headers['content-length'] ?? 0) > MAX_BYTES) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const end = (body: string | undefined) => {
      clearTimeout(deadline)
      req.off('data', take)
      resolve(body)
    }
    const deadline = setTimeout(() => end(undefined), DEADLINE_MILLISECONDS)
    const take = (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BYTES) end(undefined)
      else chunks.push(chunk)
    }
    req.on('data', take)
    req.once('end', () => end(Buffer.concat(chunks).toString('utf8')))
    req.once('error', () => end(undefined))
    req.once('close', () => end(undefined))
  })
}
