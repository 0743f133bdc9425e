import { usageError } from '../administration/command-error.ts'
import { quote } from '../config/text.ts'
import { deviceNameProblem, normalizeName } from '../enrollment/device-name.ts'
import { AUTHORITY_DAYS } from '../store/create-authority.ts'
import { daysFlag, textFlag } from './arguments.ts'
import type { Invocation } from './command.ts'

const MOST_DAYS = 36_500

/** The flags `--name` and `--days` of commands that create a CA. */
export const authorityOptionsOf = (invocation: Invocation) => ({
  commonName: readName(invocation),
  days: daysFlag(invocation, MOST_DAYS, AUTHORITY_DAYS),
})

function readName(invocation: Invocation): string | undefined {
  const given = textFlag(invocation, 'name')
  if (given === undefined) return undefined
  const name = normalizeName(given)
  const problem = deviceNameProblem(name, 'Lovelace family')
  if (problem === undefined) return name
  throw usageError(`--name ${quote(given)} ${problem}`)
}
