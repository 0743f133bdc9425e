import { expectation, OPTIONS, type Option } from '../config/options.ts'
import type { CommandRow } from './command.ts'

/** The text of `certlatch --help`. */
export function usage(commands: readonly CommandRow[]): string {
  return `Usage: certlatch <command> [options]

Lets devices with a TLS client certificate reach an application behind a reverse proxy.

Commands:
${rowsOf(commands)}

Options:
  -h, --help  show this help, or that of a command
  --version   show the version

Example:
  $ CERTLATCH_PROXY=caddy certlatch serve`
}

/** The text of `certlatch device --help`: the commands that begin with this word. */
export const groupUsage = (word: string, commands: readonly CommandRow[]): string =>
  `Usage: certlatch ${word} <command> [options]

Commands:
${rowsOf(commands)}

certlatch ${commands[0]?.name} --help describes it; the same works for the others.`

function rowsOf(commands: readonly CommandRow[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')
}

/** Every setting, as `certlatch serve --help` lists them. */
export function settingsHelp(): string {
  return OPTIONS.map((option) => `  ${option.name}\n${detailsOf(option)}`).join('\n')
}

function detailsOf(option: Option): string {
  const { name, help, secret, otherwise = 'none' } = option
  const initial = option.default ?? otherwise
  const lines = [help, `expects ${expectation(option)}`, `default: ${initial}`]
  if (secret) lines.push(`or ${name}_FILE: the path of a file that holds it`)
  return lines.map((line) => `      ${line}`).join('\n')
}
