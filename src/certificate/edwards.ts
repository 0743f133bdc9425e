/** The curve of Ed25519 (RFC 8032 §5.1): only what checking a public key needs. */

const P = 2n ** 255n - 19n
const D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n
const ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n

/** The y of all points of small order: anyone can forge signatures for such a key. */
const SMALL_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, ORDER_8, P - ORDER_8])

/** Whether the 32 bytes are a point on the curve, in canonical encoding, and not of small order. */
export function isEd25519Point(encoded: Uint8Array): boolean {
  const bigEndian = Buffer.from(encoded).reverse()
  const y = BigInt.asUintN(255, BigInt(`0x${bigEndian.toString('hex')}`))
  if (y >= P || SMALL_ORDER.has(y)) return false
  // x² is (y² - 1) / (d y² + 1), and that is a square if and only if the product of the two is one.
  const square = (y * y) % P
  return power((square - 1n) * (D * square + 1n), (P - 1n) / 2n) === 1n
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let factor = base % P
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * factor) % P
    factor = (factor * factor) % P
  }
  return result
}
