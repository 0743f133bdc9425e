import { GROUPS, type Group } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks.ts'

/** `|` ends a cell, and `<` may begin a tag. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

function tableOf(group: Group): string {
  const rows = CHECKS.filter((check) => check.group === group).map(
    ({ name, title, reason }) => `| \`${name}\` | ${cell(title)} | ${cell(reason)} |`,
  )
  const head = ['| Check | What must hold | Why |', '|---|---|---|']
  return [`**\`${group}\`**: ${GROUPS[group]}`, '', ...head, ...rows, ''].join('\n')
}

/** The checks of `certlatch doctor`, a table for each group. */
export const checksTables = (): string =>
  (Object.keys(GROUPS) as Group[]).map(tableOf).join('\n').trimEnd()
