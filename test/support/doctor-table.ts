/** The table in docs/doctor.md; run by itself this file writes it: `node dist/test/support/doctor-table.js` */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GROUPS, type Group } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks.ts'
import { repository } from './repository.ts'

const BEGIN = '<!-- checks -->\n'
const END = '<!-- /checks -->\n'

/** `|` ends a cell, and `<` may begin a tag. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

function tableOf(group: Group): string {
  const rows = CHECKS.filter((check) => check.group === group).map(
    ({ name, title, reason }) => `| \`${name}\` | ${cell(title)} | ${cell(reason)} |`,
  )
  const head = ['| Check | What has to be so | Why |', '|---|---|---|']
  return [`**\`${group}\`**: ${GROUPS[group]}`, '', ...head, ...rows, ''].join('\n')
}

/** The document with the tables as they should be. */
export function withChecksTable(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin === -1 || end < begin) throw new Error('docs/doctor.md has no place for the checks')
  const tables = (Object.keys(GROUPS) as Group[]).map(tableOf).join('\n')
  return `${document.slice(0, begin + BEGIN.length)}\n${tables}\n${document.slice(end)}`
}

export const doctorDocument = (): string => join(repository(), 'docs/doctor.md')

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(doctorDocument(), withChecksTable(readFileSync(doctorDocument(), 'utf8')))
}
