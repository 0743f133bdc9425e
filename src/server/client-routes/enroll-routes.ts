import { finishEnrollment, openTicket } from '../../administration/claim-invitation.ts'
import type { Packages } from '../../enrollment/packages.ts'
import { DONE_PATH, DOWNLOADS, ENROLL_PATH, LOOK_PATH } from '../../policy/page-policy.ts'
import { claimedPage, codePage, problemPage } from '../pages/enroll-page.ts'
import { claim, look } from './enroll-claim.ts'
import {
  clearTicket,
  decideOnDevice,
  type EnrollService,
  isOpenedByPerson,
  placeOf,
  redirectsAway,
  ticketOf,
} from './enroll-visit.ts'
import { isForm } from './request-body.ts'
import { answerHtml, openPage, type Page, READ, type Visit } from './routes.ts'

/** The pages on which a device enrolls itself, by their raw paths. */
export function enrollPages(enroll: EnrollService): (path: string) => Page | undefined {
  const post = (answer: Page['answer']): Page => ({ access: 'open', methods: ['POST'], answer })
  const claimPage = post((visit) => claim(enroll, visit))
  const startPage = openPage((visit) => start(enroll, visit))
  const pages = new Map<string, Page>([
    [
      ENROLL_PATH,
      {
        access: 'open',
        methods: [...READ, 'POST'],
        answer: (visit) => (visit.context.method === 'POST' ? claimPage : startPage).answer(visit),
      },
    ],
    [LOOK_PATH, post((visit) => look(enroll, visit))],
    [DONE_PATH, post((visit) => finish(enroll, visit))],
    ...DOWNLOADABLE.map((file): [string, Page] => [
      file.path,
      openPage((visit) => download(enroll, visit, file)),
    ]),
  ])
  // Some mail scanners percent-encode the fragment's sign; the page's script corrects that.
  return (path) => pages.get(path) ?? (path.startsWith(`${ENROLL_PATH}%23`) ? startPage : undefined)
}

/** Shows the steps for a device that has collected its certificate, or else the field for a code. */
async function start(enroll: EnrollService, visit: Visit): Promise<void> {
  const { context, language } = visit
  const ticket = ticketOf(visit) ?? ''
  const held = await heldBy(enroll, visit, ticket)
  if (held !== undefined && redirectsAway(visit, ticket)) return
  const decision = decideOnDevice(enroll, visit)
  if (held === undefined) {
    const known = decision.allow ? decision.identity?.device : undefined
    answerHtml(context, 200, codePage(language, known))
    return
  }
  const { device, site } = held.invitation
  const page = claimedPage(language, {
    device: device.name,
    site,
    password: held.packages.password,
    hasAccess: decision.allow && decision.identity?.device === device.name,
    showsRefused: !decision.allow && decision.via === 'certificate',
    userAgent: context.get('User-Agent'),
  })
  answerHtml(context, 200, page)
}

async function heldBy(enroll: EnrollService, visit: Visit, ticket: string) {
  if (!isOpenedByPerson(visit)) return undefined
  return openTicket(placeOf(enroll, visit), ticket)
}

interface Downloadable {
  readonly path: string
  readonly content: Exclude<keyof Packages, 'password' | 'fileName'>
  readonly type: string
  /** The name for the saved file; `undefined`: the system installs it without saving. */
  readonly extension: string | undefined
}

const DOWNLOADABLE: readonly Downloadable[] = [
  // Chrome and Samsung Internet on Android pass this type to the system's installer.
  { path: DOWNLOADS.p12, content: 'p12', type: 'application/x-pkcs12', extension: 'p12' },
  { path: DOWNLOADS.file, content: 'p12', type: 'application/octet-stream', extension: 'p12' },
  {
    path: DOWNLOADS.modernP12,
    content: 'modernP12',
    type: 'application/x-pkcs12',
    extension: 'p12',
  },
  {
    path: DOWNLOADS.mobileconfig,
    content: 'mobileconfig',
    type: 'application/x-apple-aspen-config',
    extension: undefined,
  },
]

async function download(
  enroll: EnrollService,
  visit: Visit,
  { content, type, extension }: Downloadable,
): Promise<void> {
  const { context, language } = visit
  const held = await heldBy(enroll, visit, ticketOf(visit) ?? '')
  if (held === undefined) {
    answerHtml(context, 404, problemPage(language, 'ended', undefined))
    return
  }
  const { packages } = held
  if (extension !== undefined) {
    const name = `${packages.fileName}.${extension}`
    context.set('Content-Disposition', `attachment; filename="${name}"`)
  }
  context.set('Content-Type', type)
  context.body = packages[content]
}

/** The device is done: the packages can't be downloaded again. */
async function finish(enroll: EnrollService, visit: Visit): Promise<void> {
  const { context } = visit
  const ticket = ticketOf(visit)
  if (ticket !== undefined) await finishEnrollment(placeOf(enroll, visit), ticket)
  clearTicket(visit)
  const isOfPage = isForm(context.req)
  context.status = isOfPage ? 303 : 204
  if (isOfPage) context.set('Location', '/')
}
