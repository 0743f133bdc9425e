import { expectation, OPTIONS, type Option } from '../config/options.ts'
import type { CommandRow } from './command.ts'

/** What `certlatch --help` says. */
export function usage(commands: readonly CommandRow[]): string {
  return `Usage: certlatch <command> [options]

Opens an application behind a reverse proxy to devices with a TLS client certificate.

Commands:
${rowsOf(commands)}

Options:
  -h, --help  show this text, or after a command what it does
  --version   show the version

Example:
  $ CERTLATCH_PROXY=caddy certlatch serve`
}

/** What `certlatch device --help` says: of the commands that begin with this word. */
export const groupUsage = (word: string, commands: readonly CommandRow[]): string =>
  `Usage: certlatch ${word} <command> [options]

Commands:
${rowsOf(commands)}

certlatch ${commands[0]?.name} --help, and the same for the others, says more.`

function rowsOf(commands: readonly CommandRow[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')
}

/** Every setting, as `certlatch serve --help` lists them. */
export function settingsHelp(): string {
  return OPTIONS.map((option) => `  ${option.name}\n${detailsOf(option)}`).join('\n')
}

function detailsOf(option: Option): string {
  const { name, help, secret } = option
  const lines = [help, `expects ${expectation(option)}`, `default: ${defaultOf(option)}`]
  if (secret) lines.push(`or ${name}_FILE: the path of a file that holds it`)
  return lines.map((line) => `      ${line}`).join('\n')
}

function defaultOf(option: Option): string {
  return option.default ?? option.otherwise ?? 'none'
}
