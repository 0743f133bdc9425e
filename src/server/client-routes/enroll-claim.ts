import { randomBytes } from 'node:crypto'
import {
  claimInvitation,
  findInvitation,
  type InvitationProblem,
} from '../../administration/claim-invitation.ts'
import type { Decision } from '../../decision.ts'
import { isNonce, readInvitationCode } from '../../enrollment/invitation-code.ts'
import { describeUserAgent } from '../../enrollment/user-agent.ts'
import { DOWNLOADS, ENROLL_PATH } from '../../policy/page-policy.ts'
import { clientAddress } from '../../proxy/client-address.ts'
import { invitedPage, problemPage } from '../pages/enroll-page.ts'
import type { EnrollProblem } from '../pages/texts.ts'
import { describeRequest } from '../verify/decision-log.ts'
import {
  decideOnDevice,
  type EnrollService,
  PROBLEM_STATUS,
  placeOf,
  setTicket,
} from './enroll-visit.ts'
import { isForm, readFields, type SentFields } from './request-body.ts'
import { answerHtml, setSession, type Visit } from './routes.ts'

const NONCE_BYTES = 16

/** Shows which device an invitation is for, without claiming it. */
export async function look(enroll: EnrollService, visit: Visit): Promise<void> {
  const fields = await readFields(visit.context.req)
  const code = readInvitationCode(fields?.text('code') ?? '')
  if (fields === undefined || code === undefined) {
    answerProblem(enroll, visit, fields, 'malformed')
    return
  }
  const found = await findInvitation(placeOf(enroll, visit), code)
  if (!found.ok) {
    answerFailed(enroll, visit, { fields, code }, found)
    return
  }
  const { device, site, endsAt } = found.invitation
  const { context, language } = visit
  const { name, owner } = device
  if (fields.kind === 'json') {
    context.body = { device: name, owner, site, endsAt }
    return
  }
  const decision = decideOnDevice(enroll, visit)
  const known = decision.allow ? decision.identity?.device : undefined
  const nonce = randomBytes(NONCE_BYTES).toString('base64url')
  const invited = { device: name, owner, site, endsAt, code, nonce, known }
  answerHtml(context, 200, invitedPage(language, invited))
}

/** Collects an invitation: the browser has a session from then on, and can download the packages. */
export async function claim(enroll: EnrollService, visit: Visit): Promise<void> {
  const fields = await readFields(visit.context.req)
  const code = readInvitationCode(fields?.text('code') ?? '')
  const nonce = fields?.text('nonce') ?? ''
  if (fields === undefined || code === undefined || !isNonce(nonce)) {
    answerProblem(enroll, visit, fields, 'malformed')
    return
  }
  const claimant = { nonce, by: describeClaimant(enroll, visit), onUnmarked: unmarked(enroll) }
  const collected = await claimInvitation(placeOf(enroll, visit), code, claimant)
  if (!collected.ok) {
    answerFailed(enroll, visit, { fields, code }, collected)
    return
  }
  const { invitation, claim, isReplay, ticket, packages } = collected
  enroll.count(isReplay ? 'replayed' : 'collected')
  const circumstances = describe(enroll, visit)
  const logged = { device: invitation.device.name, by: claim.by, ...circumstances }
  enroll.log.info(logged, isReplay ? 'invitation answered again' : 'invitation collected')
  const { headers, nowSeconds } = visit
  const decision = enroll.enrollment.decideAsDevice(invitation, claim.at, headers, nowSeconds)
  openSession(enroll, visit, decision)
  setTicket(visit, ticket, claim.at)
  const { context } = visit
  if (fields.kind === 'form') {
    context.status = 303
    context.set('Location', ENROLL_PATH)
    return
  }
  const { p12, modernP12, mobileconfig } = DOWNLOADS
  context.body = {
    device: invitation.device.name,
    owner: invitation.device.owner,
    notAfter: invitation.certificate.notAfter,
    password: packages.password,
    downloads: { p12, modernP12, mobileconfig },
  }
}

const unmarked =
  ({ log }: EnrollService) =>
  (error: unknown): void => {
    const problem = error instanceof Error ? error.message : String(error)
    log.warn({ problem }, 'could not yet record in the registry that an invitation was collected')
  }

/** Counts it as an ordinary decision: its session is like any other. */
function openSession({ service }: EnrollService, visit: Visit, decision: Decision): void {
  const { context, nowSeconds } = visit
  if (setSession(service, context, decision, nowSeconds)) service.countDecision(decision, 0)
}

const describe = ({ service }: EnrollService, { headers, context }: Visit) =>
  describeRequest(service, headers, context.req.rawHeaders)

/** `iPhone, Safari, from 203.0.113.7`, with as much of the address as may be logged. */
function describeClaimant(enroll: EnrollService, visit: Visit): string {
  const { client } = describe(enroll, visit)
  const browser = describeUserAgent(visit.context.req.headers['user-agent'])
  return client === undefined ? browser : `${browser}, from ${client}`
}

function answerFailed(
  enroll: EnrollService,
  visit: Visit,
  { fields, code }: { readonly fields: SentFields; readonly code: string },
  { problem, at }: InvitationProblem,
): void {
  const client = clientAddress(visit.headers.forwardedFor, enroll.service.trustedProxies)
  if (problem === 'unknown' && enroll.wrongCodes.isTooMany(client)) {
    visit.context.set('Retry-After', '60')
    answerProblem(enroll, visit, fields, 'rate-limited')
    return
  }
  if (problem === 'used') {
    const device = enroll.enrollment.deviceOf(code)
    enroll.service.decisionLog.invitationReused(device, () => describe(enroll, visit))
  }
  answerProblem(enroll, visit, fields, problem, at)
}

function answerProblem(
  enroll: EnrollService,
  visit: Visit,
  fields: SentFields | undefined,
  problem: EnrollProblem,
  at?: number,
): void {
  enroll.count(problem)
  const { context, language } = visit
  const status = PROBLEM_STATUS[problem]
  if (fields?.kind === 'form' || (fields === undefined && isForm(context.req))) {
    answerHtml(context, status, problemPage(language, problem, at))
    return
  }
  context.status = status
  context.body = { problem, ...(at !== undefined && { at }) }
}
