import { de } from './de.ts'
import { en, type Texts } from './en.ts'
import { fr } from './fr.ts'
import { nl } from './nl.ts'

/** Every language of the pages; to add one, add a file and a line here. */
export const LANGUAGES = { en, de, fr, nl } as const satisfies Readonly<Record<string, Texts>>

export type Language = keyof typeof LANGUAGES

const DEFAULT: Language = 'en'

/** A header far longer than any browser's would cost time without adding information. */
const MOST_READ = 256
const RANGE =
  /^\s*([a-z]{1,8})(?:-[a-z0-9-]{1,30})?\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?$/i

/** The available language that an `Accept-Language` header prefers (RFC 9110 §12.5.4). */
export function languageOf(acceptLanguage: string | undefined): Language {
  let best = DEFAULT
  let bestWeight = 0
  for (const range of (acceptLanguage ?? '').slice(0, MOST_READ).split(',')) {
    const [, name = '', weight = '1'] = RANGE.exec(range) ?? []
    const language = LANGUAGE_NAMES.find((known) => known === name.toLowerCase())
    if (language === undefined || Number(weight) <= bestWeight) continue
    best = language
    bestWeight = Number(weight)
  }
  return best
}

const LANGUAGE_NAMES = Object.keys(LANGUAGES) as readonly Language[]
