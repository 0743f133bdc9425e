import type { PublicKeyKind } from './public-key.ts'
export const readSigningRequest = (
  _: Buffer,
):
  | {
      ok: true
      request: { publicKeyInfo: Buffer; publicKey: PublicKeyKind; commonName: string | undefined }
    }
  | { ok: false; problem: string } => ({ ok: false, problem: 'x' })
