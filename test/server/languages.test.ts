import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LANGUAGES, languageOf } from '../../src/server/pages/languages/languages.ts'

/** The paths to all texts of a catalogue, with what they have in braces. */
function textsOf(value: unknown, path = ''): readonly (readonly [string, readonly string[]])[] {
  if (typeof value === 'string') {
    assert.notEqual(value.trim(), '', path)
    return [[path, (value.match(/\{\w+\}/g) ?? []).sort()]]
  }
  assert.ok(typeof value === 'object' && value !== null, path)
  return Object.entries(value).flatMap(([key, part]) => textsOf(part, `${path}/${key}`))
}

const english = textsOf(LANGUAGES.en)

for (const [language, texts] of Object.entries(LANGUAGES)) {
  test(`${language} has every text, with the same placeholders`, () => {
    assert.deepEqual(textsOf(texts), english)
  })
}

test('French has no-break spaces inside « » and before its punctuation', () => {
  assert.doesNotMatch(JSON.stringify(LANGUAGES.fr), /« | »| [:;?!]/)
})

test('No text is the same in another language, except for names', () => {
  const shared = (Object.keys(LANGUAGES) as (keyof typeof LANGUAGES)[]).filter(
    (language) =>
      LANGUAGES[language].refusals['no-certificate'].title ===
        LANGUAGES.en.refusals['no-certificate'].title && language !== 'en',
  )
  assert.deepEqual(shared, [])
})

const CLIENT_CERTIFICATE = {
  en: /client certificate/,
  de: /Client-Zertifikat/,
  fr: /certificat client/,
  nl: /clientcertificaat/,
} as const

test('Every refusal says in every language that client certificates are what it is about', () => {
  for (const [language, { refusals }] of Object.entries(LANGUAGES)) {
    const word = CLIENT_CERTIFICATE[language as keyof typeof LANGUAGES]
    for (const [kind, { lead }] of Object.entries(refusals)) {
      assert.match(lead, word, `${language} ${kind}`)
    }
  }
})

const CASES = [
  [undefined, 'en'],
  ['', 'en'],
  ['*', 'en'],
  ['de', 'de'],
  ['de-AT,en;q=0.5', 'de'],
  ['pl,fr-CH;q=0.8,en;q=0.7', 'fr'],
  ['en;q=0.5, nl;q=0.9', 'nl'],
  ['DE;q=1.0', 'de'],
  ['fr;q=0, de;q=0.1', 'de'],
  ['de;q=2', 'en'],
  ['de;q=x,nl', 'nl'],
  [`${' '.repeat(300)}de`, 'en'],
] as const

for (const [header, language] of CASES) {
  test(`Accept-Language ${JSON.stringify(header)?.slice(0, 40)} means ${language}`, () => {
    assert.equal(languageOf(header), language)
  })
}

test('Any header selects an existing language', () => {
  fc.assert(fc.property(fc.string(), (header) => languageOf(header) in LANGUAGES))
})
