import type { DenyReason } from '../decision.ts'

const NEW_CERTIFICATE = 'give the device a new certificate'
const SHOW_AGAIN = 'show the certificate again: it starts a new session'
const PROXY_FILES = "compare the proxy's configuration with the one in deploy/"

/** What turns each denial into a 200, if the request should be allowed. */
export const ADVICE: Readonly<Record<DenyReason, string>> = {
  'malformed-http': PROXY_FILES,
  'untrusted-proxy': 'name the address of the proxy in CERTLATCH_TRUSTED_PROXIES',
  'proxy-mismatch': 'set CERTLATCH_PROXY to the proxy that sends auth requests, or stop that proxy',
  'malformed-request':
    'the path is broken: look for a "%" without two hex digits, for white space, or a length beyond 8 kB',
  'header-alias':
    'send no header that looks like a trusted one, nor the certificate header of another proxy',
  'header-repeated': 'let the proxy remove its own headers from client requests: see deploy/',
  'ambiguous-path':
    'use a path without "//", ".", "..", "\\", ";" and encoded separators, or satisfy the stricter rule',
  'policy-deny': 'change that rule, or put one that allows the request before it',
  'cross-site': 'list the site in allow_origins of the policy file, if it may act here',
  'certificate-malformed': 'the certificate breaks the standard: have it reissued',
  'certificate-untrusted':
    'use a certificate that a CA of the trusted file has signed itself, or add that CA',
  'certificate-expired': NEW_CERTIFICATE,
  'certificate-not-yet-valid': 'check the clocks of this machine and of the CA',
  'certificate-issuer-expired': 'renew the CA',
  'certificate-revoked': `nothing, if it was revoked on purpose; else ${NEW_CERTIFICATE}`,
  'certificate-blocked':
    'lift the block: certlatch device block --lift, with its --serial or --certificate',
  'certificate-superseded': 'use the newer certificate of this device',
  'certificate-wrong-usage': 'have it reissued for client authentication',
  'certificate-unknown-extension': 'have it reissued without that critical extension',
  'certificate-unsupported-algorithm':
    'have it reissued with a key of P-256, P-384, P-521, Ed25519 or RSA, signed with ECDSA, Ed25519 or RSA and SHA-256, SHA-384 or SHA-512',
  'certificate-weak': 'have it reissued with a stronger key and SHA-256 or better',
  'certificate-crl-stale': 'install a new CRL of its CA',
  'certificate-crl-missing': 'install a CRL of its CA that covers it',
  'certificate-rate-limited': 'stop the flood of certificates from this address',
  'unknown-device': `restore its entry in private/devices, or ${NEW_CERTIFICATE}`,
  'no-identity':
    'have it reissued with a name that CERTLATCH_IDENTITY accepts, without white space around it and without control or invisible characters',
  'not-permitted': 'add the device or its owner to the rule',
  'session-malformed': 'delete the cookie in the browser',
  'session-forged': SHOW_AGAIN,
  'session-expired': SHOW_AGAIN,
  'session-not-yet-valid': `check the clock of this machine, then ${SHOW_AGAIN}`,
  'session-wrong-host': 'show the certificate at this host: it starts a session there',
  'session-key-retired': SHOW_AGAIN,
  'session-revoked': `nothing, if it was revoked on purpose; else ${NEW_CERTIFICATE}`,
  'session-signed-out': SHOW_AGAIN,
  'session-not-accepted': 'show the certificate itself: this rule accepts no session',
  'no-credentials':
    'show a certificate (--certificate FILE, --device NAME) or the cookie of a session (--cookie -)',
  'internal-error': 'report it: this is a bug of certlatch',
}
