import { printable } from '../config/text.ts'
import type { Check } from './check.ts'
import type { Outcome } from './run.ts'

const WORDS: Readonly<Record<Outcome['result'], string>> = {
  ok: 'ok  ',
  warning: 'WARN',
  failed: 'FAIL',
  'not tried': '-   ',
}

/** Text from outside, such as a header, must not control the terminal. */
const oneLine = (text: string): string => printable(text.replaceAll(/\s*\n\s*/g, ' '))

/** An outcome as text lines. */
export function outcomeLines(outcome: Outcome): readonly string[] {
  const { check, result, findings, obstacle, detail } = outcome
  const word = WORDS[result]
  if (result === 'ok')
    return [`${word}  ${check.title}${detail === undefined ? '' : `, ${detail}`}`]
  if (result === 'not tried') return [oneLine(`${word}  ${check.name}: not tried: ${obstacle}`)]
  return findings.flatMap(({ level, text, hint }) => [
    oneLine(`${WORDS[level]}  ${text}`),
    ...(hint === undefined ? [] : [oneLine(`      hint: ${hint}`)]),
  ])
}

function countOutcomes(outcomes: readonly Outcome[]) {
  const count = (result: Outcome['result']) =>
    outcomes.filter((outcome) => outcome.result === result).length
  return {
    ok: count('ok'),
    warnings: count('warning'),
    failed: count('failed'),
    notTried: count('not tried'),
  }
}

/** `14 ok, 1 warning, 1 failed`, and how many were not tried. */
export function summaryLine(outcomes: readonly Outcome[]): string {
  const { ok, warnings, failed, notTried } = countOutcomes(outcomes)
  const counts = `${ok} ok, ${warnings} warning${warnings === 1 ? '' : 's'}, ${failed} failed`
  return notTried === 0 ? counts : `${counts}, ${notTried} not tried`
}

/** Whether it sends what only a proxy or an attacker would send. */
const isForging = ({ name, group }: Check): boolean => group === 'forged' || name === 'inner-paths'

/** The alerts that the run may trigger; `undefined`: none. */
export function raisedLine(outcomes: readonly Outcome[]): string | undefined {
  const isLogged = outcomes.some((outcome) => isForging(outcome.check) && outcome.isLogged)
  return isLogged
    ? 'certlatch has logged these forged requests as refusals, which may trigger the alerts CertlatchHeadersForged, CertlatchManyStrangers and, if the proxy passes a forged header on, CertlatchWrongProxy and CertlatchPortReached'
    : undefined
}

/** The same as JSON. */
export function describeOutcomes(url: string, outcomes: readonly Outcome[], requests: number) {
  return {
    schemaVersion: 1,
    url,
    ...countOutcomes(outcomes),
    requests,
    raises: raisedLine(outcomes),
    checks: outcomes.map(({ check: { name, group, title }, isLogged: _, ...outcome }) => ({
      name,
      group,
      title,
      ...outcome,
    })),
  }
}
