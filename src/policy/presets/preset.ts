import type { Access } from '../policy.ts'

/** A rule as data; its name is told with the preset's before it. */
export interface PresetRule {
  readonly name: string
  readonly path?: readonly string[]
  readonly methods?: readonly string[]
  readonly access: Access
}

/** Rules that hold only where the policy file names them. */
interface Switch {
  readonly rules: readonly PresetRule[]
  /** Whether the networks for which they hold must be named with it. */
  readonly needsNetworks: boolean
}

/** Rules for one kind of application, to be named in the policy file. */
export interface Preset {
  readonly name: string
  readonly rules: readonly PresetRule[]
  readonly switches: Readonly<Record<string, Switch>>
}
