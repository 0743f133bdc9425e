import { usageError } from '../administration/command-error.ts'
import { nearest, quote } from '../config/text.ts'
import { durationReader } from '../config/values.ts'
import type { Invocation } from './command.ts'

/** Returns the one name that follows a command. */
export function onlyName({ command, positionals }: Invocation): string {
  const [name, ...more] = positionals
  if (name === undefined) throw usageError('expected a name', `certlatch ${command} "Ada's phone"`)
  if (more.length === 0) return name
  const all = positionals.join(' ')
  throw usageError(`expected one name, not ${positionals.length}`, `put it in quotes: "${all}"`)
}

export function textFlag({ flags }: Invocation, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

export function choiceFlag<T extends string>(
  invocation: Invocation,
  name: string,
  choices: readonly T[],
  otherwise: T,
): T {
  const text = textFlag(invocation, name)
  if (text === undefined) return otherwise
  const choice = choices.find((known) => known === text)
  if (choice !== undefined) return choice
  const near = nearest(text, choices)
  const hint = near === undefined ? undefined : `did you mean ${near}?`
  throw usageError(`--${name} is ${quote(text)}: expected ${choices.join(', ')}`, hint)
}

/** A whole number of days. */
export function daysFlag(invocation: Invocation, most: number, otherwise: number): number {
  const text = textFlag(invocation, 'days')
  if (text === undefined) return otherwise
  const days = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= most) return days
  throw usageError(`--days is ${quote(text)}: expected a whole number from 1 to ${most}`)
}

/** Returns seconds, from text such as `14d`; `0` is accepted unless a minimum is given. */
export function durationFlag(
  invocation: Invocation,
  name: string,
  most: string,
  otherwise: number,
  least?: string,
): number {
  const text = textFlag(invocation, name)
  if (text === undefined) return otherwise
  if (text === '0' && least === undefined) return 0
  const read = durationReader(least ?? '0s', most)(text)
  if (read.ok) return read.value
  const range = least === undefined ? `up to ${most}` : `from ${least} to ${most}`
  throw usageError(
    `--${name} is ${quote(text)}: expected a duration ${range}, such as 90s, 12h or 14d`,
  )
}
