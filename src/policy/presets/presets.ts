import type { Preset } from '../policy.ts'
import { CLOSED } from './closed.ts'
import { HOME_ASSISTANT } from './home-assistant.ts'

/** Every preset; a new one is a file beside this one and its name here. */
export const PRESETS: readonly Preset[] = [HOME_ASSISTANT, CLOSED]
