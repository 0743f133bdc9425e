import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sendRequest, type Target } from './visitor.ts'

/** A step of the tour, as `tell` takes it. */
interface Step {
  readonly title: string
  readonly command: string
  readonly answer: string
  readonly good: boolean
}

const ENROLL = '/.certlatch/auth/enroll'

/** What a phone does with an invitation's link: look, claim, come in, and open the package. */
export async function enrol(
  target: Target,
  link: string,
  folder: string,
  tell: (step: Step) => boolean,
): Promise<readonly boolean[]> {
  const [page = '', code = ''] = link.split('#')
  const curl = `curl --cacert server.crt -H 'Content-Type: application/json' -H 'Origin: ${new URL(link).origin}'`
  const looked = await sendRequest(target, `${ENROLL}/look`, {}, { code })
  const results = [
    tell({
      title: 'the page of the link, on the phone: who is invited (nothing is claimed by that)',
      command: `${curl} -d '{"code":"${code}"}' ${page}/look`,
      answer: looked.summary,
      good: looked.status === 200,
    }),
  ]
  const claimed = await sendRequest(target, ENROLL, {}, { code, nonce: 'demo' })
  const { password = '', downloads } = claimed.status === 200 ? JSON.parse(claimed.body) : {}
  results.push(
    tell({
      title: 'its button: the certificate is collected, and a second try is told so',
      command: `${curl} -c jar2 -d '{"code":"${code}","nonce":"demo"}' ${page}`,
      answer: `${claimed.summary.slice(0, 76)}…\n${(await sendRequest(target, ENROLL, {}, { code, nonce: 'other' })).summary}`,
      good: claimed.status === 200,
    }),
  )
  const inside = await sendRequest(target, '/', { cookie: claimed.cookie ?? '' })
  results.push(
    tell({
      title: 'the phone is in at once',
      command: `curl --cacert server.crt -b jar2 ${new URL(link).origin}/`,
      answer: inside.summary,
      good: inside.status === 200,
    }),
  )
  const profile = await sendRequest(target, downloads?.mobileconfig ?? '/', {
    cookie: claimed.cookies,
  })
  const [, base64 = ''] =
    /<key>PayloadContent<\/key>\s*<data>([^<]+)<\/data>/.exec(profile.body) ?? []
  const file = join(folder, 'tablet.p12')
  await writeFile(file, Buffer.from(base64, 'base64'))
  const words = ['pkcs12', '-legacy', '-in', file, '-passin', `pass:${password}`, '-nokeys']
  const opened = openPackage(words)
  results.push(
    tell({
      title: 'the package in the profile that an iPhone downloads, under the password of the page',
      command: 'openssl pkcs12 -legacy -in tablet.p12 -passin pass:… -nokeys',
      answer: opened ?? 'cannot be opened',
      good: opened !== undefined,
    }),
  )
  return results
}

/** The subject of the certificate in it. */
function openPackage(words: readonly string[]): string | undefined {
  try {
    const text = execFileSync('openssl', words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return /^subject=.*$/m.exec(text)?.[0]
  } catch {
    return undefined
  }
}
