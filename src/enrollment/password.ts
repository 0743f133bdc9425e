export const PASSWORD_RANDOM_BYTES = 13
export const packagePassword = (r: Uint8Array): string => Buffer.from(r).toString('hex')
