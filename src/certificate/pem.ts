/** RFC 7468 text encoding, strict: complete blocks of one label, and nothing around them. */

const LINE_LENGTH = 64

/** One block: label, base64 in lines of any length, no headers. */
const BLOCK =
  /-----BEGIN ([A-Z0-9 ]+)-----\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+)-----END \1-----(?:\r?\n|$)/y

/**
 * The DER of every block of `text`; `undefined` if there is none, one has another label, or there is
 * anything but white space between them. `tolerateComments` is for files: it skips lines that begin
 * with `#`, and the text that OpenSSL's `-text` puts before a block.
 */
export function readPemBlocks(
  text: string,
  label: string,
  tolerateComments = false,
): readonly Buffer[] | undefined {
  const source = tolerateComments ? withoutComments(text) : text
  const blocks: Buffer[] = []
  let position = skipWhiteSpace(source, 0)
  while (position < source.length) {
    BLOCK.lastIndex = position
    const [, found, base64] = BLOCK.exec(source) ?? []
    if (base64 === undefined || found !== label) return undefined
    const der = readBase64(base64.replace(/\r?\n/g, ''))
    if (der === undefined) return undefined
    blocks.push(der)
    position = skipWhiteSpace(source, BLOCK.lastIndex)
  }
  return blocks.length > 0 ? blocks : undefined
}

/** Whether a file begins like DER: with a SEQUENCE, whose length byte does not occur in text. */
export function isDer([tag, length = 0x30]: Uint8Array): boolean {
  return tag === 0x30 && (length < 0x09 || length > 0x7e)
}

/** One block of a file; `der` is `undefined` if the block is incomplete or not base64. */
interface PemBlock {
  readonly label: string
  readonly der: Buffer | undefined
}

/** The blocks of a file, whatever their labels, without the text around them. */
export function readPemFile(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = []
  for (const block of withoutComments(text).split(/^(?=-----BEGIN )/m)) {
    const [, label] = /^-----BEGIN ([A-Z0-9 ]+)-----/.exec(block) ?? []
    if (block === '') continue
    const ders = label === undefined ? undefined : readPemBlocks(block, label)
    blocks.push({ label: label ?? 'unreadable', der: ders?.[0] })
  }
  return blocks
}

/**
 * What a file holds under these labels: the DER of each block, `undefined` for an incomplete one; or
 * the file itself if it is DER. Everything else in the file is ignored.
 */
export function readBlocks(
  content: Buffer,
  ...labels: readonly string[]
): readonly (Buffer | undefined)[] {
  if (isDer(content)) return [content]
  const blocks = readPemFile(content.toString('latin1'))
  return blocks.filter(({ label }) => labels.includes(label)).map(({ der }) => der)
}

/** Whether a private key in PEM needs a passphrase, in the form of PKCS #8 or OpenSSL's older one. */
export const isEncryptedKey = (pem: string): boolean =>
  /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)

/** Why a file that should hold only certificates was refused, as a clause after its name. */
export function certificateFileProblem(text: string): string {
  const others = new Set(readPemFile(text).map(({ label }) => label))
  if (!others.delete('CERTIFICATE')) return 'holds no certificate, in PEM or DER'
  const [other] = others
  if (other === undefined) return 'holds an incomplete certificate'
  return `also holds a block "${other}": put the certificate into a file of its own`
}

/** U+FEFF in UTF-8, read as latin1: Windows puts it at the start, `cat` leaves it in the middle. */
const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf'

/** Keeps the lines from BEGIN to END. */
function withoutComments(text: string): string {
  let inside = false
  const kept: string[] = []
  for (const marked of text.split(/\r?\n/)) {
    const line = marked.startsWith(BYTE_ORDER_MARK) ? marked.slice(3) : marked
    if (line.startsWith('-----BEGIN ')) inside = true
    if (inside) kept.push(line.trimEnd())
    if (line.startsWith('-----END ')) inside = false
  }
  return kept.length > 0 ? `${kept.join('\n')}\n` : ''
}

function skipWhiteSpace(text: string, from: number): number {
  let position = from
  while (' \t\r\n'.includes(text[position] ?? '-')) position += 1
  return position
}

/**
 * Standard base64 (RFC 4648 §4) in its one canonical spelling: padded, without white space, unused
 * bits zero. `undefined` for any other: Node's decoder skips unknown characters, so that two texts
 * could mean the same certificate.
 */
export function readBase64(text: string): Buffer | undefined {
  if (text.length === 0 || text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

export function writePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64')
  const lines = base64.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
