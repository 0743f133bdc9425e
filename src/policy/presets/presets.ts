import type { Preset } from '../policy.ts'
import { AUDIOBOOKSHELF_SHARES } from './audiobookshelf-shares.ts'
import { CLOSED } from './closed.ts'
import { HOME_ASSISTANT } from './home-assistant.ts'
import { IMMICH_SHARES } from './immich-shares.ts'
import { N8N_WEBHOOKS } from './n8n-webhooks.ts'
import { VAULTWARDEN } from './vaultwarden.ts'

/** Every preset; to add one, add a file beside this one and its name here. */
export const PRESETS: readonly Preset[] = [
  HOME_ASSISTANT,
  AUDIOBOOKSHELF_SHARES,
  IMMICH_SHARES,
  N8N_WEBHOOKS,
  VAULTWARDEN,
  CLOSED,
]
