import type { DenyReason } from '../decision.ts'

const NEW_CERTIFICATE = 'give the device a new certificate (certlatch device renew)'
const SHOW_AGAIN = 'load the page again: the device shows its certificate and gets a new session'
const ON_PURPOSE =
  'nothing, if it was revoked on purpose; a device that was found again is added under a new name'

/** What to do about a refusal, for `certlatch explain` and the table in docs/reasons.md. */
export const ADVICE: Readonly<Record<DenyReason, string>> = {
  'malformed-http':
    "if the address is your proxy's, compare its configuration with the one in deploy/; if not, find out who else reaches the port",
  'untrusted-proxy':
    'if it was your proxy, name its address in CERTLATCH_TRUSTED_PROXIES or give it the secret; if not, close the port to others',
  'proxy-mismatch': 'set CERTLATCH_PROXY to the proxy that you use, or stop the other one',
  'malformed-request':
    'compare the configuration of the proxy with the one in deploy/; if only some requests are refused, look in their URLs for a "%" without two hex digits, for white space, or a path longer than 8 KiB',
  'header-alias':
    'nothing, if it is an attack; else stop what sends it: the configurations in deploy/ remove such headers',
  'header-repeated':
    'let the proxy remove what the client sends of these headers: compare its configuration with the one in deploy/',
  'ambiguous-path':
    'use a path without "//", ".", "..", "\\", ";" and encoded separators, or satisfy the stricter rule',
  'policy-deny': 'change that rule, or put one that allows the request before it',
  'cross-site':
    'use the application under its own address, or list the other site in allow_origins of the policy file',
  'certificate-malformed':
    'check CERTLATCH_PROXY and the configuration of the proxy; if only this certificate is refused, have it issued again',
  'certificate-untrusted':
    'use a certificate that a CA in the CA file has signed itself, or add that CA, which may be an intermediate, to CERTLATCH_CA_FILE',
  'certificate-expired': NEW_CERTIFICATE,
  'certificate-not-yet-valid': 'check the clocks of this machine and of the CA',
  'certificate-issuer-expired':
    'renew the CA (certlatch ca renew), then give each device a new certificate',
  'certificate-revoked': ON_PURPOSE,
  'certificate-blocked':
    'nothing, if it was blocked on purpose; else lift the block: certlatch device block --lift, with its --serial or --certificate',
  'certificate-superseded':
    'import the newer certificate of this device, and delete this one from it',
  'certificate-wrong-usage': 'have it issued again for client authentication',
  'certificate-unknown-extension': 'have it issued again without that critical extension',
  'certificate-unsupported-algorithm':
    'have it issued again with a P-256, P-384, P-521, Ed25519 or RSA key, signed with ECDSA, Ed25519 or RSA and SHA-256, SHA-384 or SHA-512',
  'certificate-weak': 'have it issued again with a stronger key, and SHA-256 or better',
  'certificate-crl-stale':
    'put a new CRL of its CA in place; CERTLATCH_CRL_STALE=allow accepts an out-of-date one',
  'certificate-crl-missing':
    'let the CA write its distribution point into its certificates, or issue a CRL that covers all of them',
  'certificate-rate-limited': 'wait: it is checked once the flood of new certificates ends',
  'unknown-device':
    'register it (certlatch device add NAME --certificate FILE), restore private/devices from the backup, or give the device a new certificate',
  'no-identity':
    'have it issued again with a usable name of a kind that CERTLATCH_IDENTITY lists, or let CERTLATCH_IDENTITY choose another kind',
  'not-permitted': 'add the device or its owner to the rule',
  'session-malformed':
    'delete the cookie in the browser; if it returns, another application under the domain sets it',
  'session-forged': `${SHOW_AGAIN}; replicas need the same CERTLATCH_SESSION_KEYS_FILE`,
  'session-expired': SHOW_AGAIN,
  'session-not-yet-valid': `check the clock of this machine, and those of replicas; then ${SHOW_AGAIN}`,
  'session-wrong-host': 'show the certificate at this host, which starts a session of its own',
  'session-key-retired': SHOW_AGAIN,
  'session-revoked': ON_PURPOSE,
  'session-signed-out': SHOW_AGAIN,
  'session-not-accepted': 'show the certificate itself, or let the rule say certificate-or-session',
  'no-credentials':
    'let the device show its certificate or its cookie (in certlatch explain: --certificate, --device or --cookie)',
  'internal-error': 'report it, with the log line "internal error"',
}
