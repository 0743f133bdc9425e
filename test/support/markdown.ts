/** Reading Markdown as the tests of the documents need it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Installed, compiled and made: none of it is a document of the repository. */
const NOT_OURS = /^(?:node_modules|dist|coverage|data|\.git|\.tools)$/

/** The path of every Markdown file below a folder. */
export function documentsBelow(root: string, folder = ''): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (!entry.isDirectory()) return entry.name.endsWith('.md') ? [path] : []
    return NOT_OURS.test(entry.name) ? [] : documentsBelow(root, path)
  })
}

/** The part of a document below a heading, up to the next one of that level or above. */
export function section(document: string, heading: string): string {
  const [, hashes = '', text = ''] = new RegExp(`^(#+) ${heading}\n(.*)`, 'ms').exec(document) ?? []
  if (hashes === '') throw new Error(`there is no heading "${heading}"`)
  return text.split(new RegExp(`^#{1,${hashes.length}} `, 'm'), 1)[0] ?? ''
}

/** What is in code in the first column of the tables in a text. */
export const firstColumn = (text: string): readonly string[] =>
  [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell = '']) => cell)

/** A document without its code, in which brackets are not links. */
export const prose = (document: string): string =>
  document.replaceAll(/^( *)```.*?^\1```$/gms, '').replaceAll(/`[^`\n]*`/g, '')

/** The anchors of a document, as GitHub makes them from its headings. */
export const anchorsOf = (document: string): readonly string[] =>
  [...document.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** What is in the code blocks of one language, also within lists. */
export const codeBlocks = (document: string, language: string): readonly string[] =>
  [...document.matchAll(/^( *)```(\w+)\n(.*?)^\1```$/gms)].flatMap(
    ([, indent = '', name, text = '']) =>
      name === language ? [text.replaceAll(new RegExp(`^${indent}`, 'gm'), '')] : [],
  )
