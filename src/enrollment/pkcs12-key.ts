import { hash } from 'node:crypto'

/** What a derived key is for (RFC 7292 appendix B.3). */
export const PURPOSE = { key: 1, initialVector: 2, integrity: 3 } as const

export type Pkcs12Hash = 'sha1' | 'sha256'

/** The block size of both hashes. */
const BLOCK_BYTES = 64

export interface KeyDerivation {
  readonly hash: Pkcs12Hash
  readonly password: string
  readonly salt: Buffer
  readonly iterations: number
}

/** A BMPString with its two zero bytes (RFC 7292 appendix B.1). */
const passwordBytes = (password: string): Buffer => Buffer.from(`${password}\0`, 'utf16le').swap16()

/** Derives a key from a password as PKCS #12 does (RFC 7292 appendix B.2). */
export function derivePkcs12Key(from: KeyDerivation, purpose: number, length: number): Buffer {
  const diversifier = Buffer.alloc(BLOCK_BYTES, purpose)
  const blocks = [fillBlocks(from.salt), fillBlocks(passwordBytes(from.password))]
  const input = Buffer.concat(blocks)
  const output: Buffer[] = []
  for (let written = 0; written < length; ) {
    let digest = hash(from.hash, Buffer.concat([diversifier, input]), 'buffer')
    for (let round = 1; round < from.iterations; round += 1) {
      digest = hash(from.hash, digest, 'buffer')
    }
    output.push(digest)
    written += digest.length
    for (let offset = 0; offset < input.length; offset += BLOCK_BYTES) {
      addToBlock(input.subarray(offset, offset + BLOCK_BYTES), digest)
    }
  }
  return Buffer.concat(output).subarray(0, length)
}

/** Repeats the bytes up to whole blocks. */
const fillBlocks = (bytes: Buffer): Buffer =>
  Buffer.alloc(Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_BYTES, bytes)

/** block = block + digest (repeated to a block) + 1, as one big number. */
function addToBlock(block: Buffer, digest: Buffer): void {
  const addend = Buffer.alloc(BLOCK_BYTES, digest)
  let carry = 1
  for (let index = BLOCK_BYTES - 1; index >= 0; index -= 1) {
    const sum = block.readUInt8(index) + addend.readUInt8(index) + carry
    block.writeUInt8(sum & 0xff, index)
    carry = sum >> 8
  }
}
