import { readFile } from 'node:fs/promises'
import { readBlocks } from '../certificate/pem.ts'
import { describeFileError, errorCode } from '../store/files.ts'
import { CommandError, usageError } from './command-error.ts'

/** Reads a file that the command line names. Throws a usage error that begins with `as`. */
export async function readGivenFile(path: string, as: string = path): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw usageError(`${as} ${describeFileError(error)}`)
  }
}

/** The one certificate in such a file, PEM or DER; a key beside it is ignored. Returns its DER. */
export async function readGivenCertificate(path: string): Promise<Buffer> {
  const [der, ...more] = readBlocks(await readGivenFile(path), 'CERTIFICATE')
  if (der !== undefined && more.length === 0) return der
  throw usageError(`${path} must contain one certificate, in PEM or DER`)
}

/** The content of a file that a command needs. Throws a CommandError, with the hint if it is missing. */
export async function needed(
  path: string,
  reading: Promise<Buffer>,
  hint?: string,
): Promise<Buffer> {
  try {
    return await reading
  } catch (error) {
    const next = errorCode(error) === 'ENOENT' ? { hint } : {}
    throw new CommandError(`${path} ${describeFileError(error)}`, next)
  }
}
