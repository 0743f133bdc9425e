import { certificateFileProblem, isDer, readPemBlocks } from '../certificate/pem.ts'
import { type Issuer, readIssuer } from '../certificate/verify.ts'
import type { Part } from '../result.ts'

/**
 * The CA certificates of a file in PEM, or the only one of a file in DER. Problems begin with the
 * file's name.
 */
export function readAuthoritiesFile(name: string, content: Buffer): Part<readonly Issuer[]> {
  const text = content.toString('latin1')
  const blocks = isDer(content) ? [content] : readPemBlocks(text, 'CERTIFICATE', true)
  if (blocks === undefined) {
    return { value: [], problems: [`${name} ${certificateFileProblem(text)}`] }
  }
  const issuers: Issuer[] = []
  const problems: string[] = []
  for (const [index, der] of blocks.entries()) {
    const read = readIssuer(der)
    if (read.ok) issuers.push(read.issuer)
    else problems.push(`${name}, certificate ${index + 1}: ${read.problem}`)
  }
  return { value: issuers, problems }
}
