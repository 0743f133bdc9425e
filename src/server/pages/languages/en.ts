import type { GuideTexts, ProblemTexts, RefusalTexts } from '../texts.ts'

const CHOSEN_BEFORE =
  'If you canceled when the browser asked for a certificate, or chose the wrong one, it remembers that until you close it. Close all its windows (on a phone, swipe it away), then open it again.'
const ASK_FOR_ONE =
  'Ask the person who runs this server for a new one and install it on this device.'
const INSTALLED_SINCE =
  'If you have already installed a new one, close the browser entirely and open it again, so that it asks which one to show.'
const IS_IT_INSTALLED =
  'Is it installed on this device? If not, ask the person who runs this server for one.'
const ASK_FOR_INVITATION = 'Ask the person who invited you for a new invitation.'

/**
 * All texts that a person sees in the browser; the other languages have the same. `{device}` and the
 * like are placeholders.
 */
export type Texts = typeof en

export const en = {
  refusals: {
    'no-certificate': {
      title: 'No certificate was shown',
      lead: 'Your browser has not shown the client certificate by which this server recognizes its devices.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'unsuitable-certificate': {
      title: 'This certificate is not accepted here',
      lead: 'Your browser has shown a client certificate that does not belong to any of this server’s devices.',
      steps: [
        'If you have several certificates and chose the wrong one, the browser remembers that until you close it. Close all its windows (on a phone, swipe it away), then open it again.',
        'If it is the one that you were given for this server, ask the person who runs it for a new one.',
      ],
    },
    'expired-certificate': {
      title: 'The certificate of this device has expired',
      lead: 'The client certificate that your browser has shown has expired.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'The certificate of this device was withdrawn',
      lead: 'The client certificate of this device is no longer accepted.',
      steps: [`Should this device have access? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'This certificate was replaced by a newer one',
      lead: 'This device was given a newer client certificate, and your browser has shown the old one.',
      steps: [
        'Is the new one installed on this device? If not, install it, or ask the person who runs this server for it.',
        'Remove the old one, close the browser entirely and open it again, so that it shows the new one.',
      ],
    },
    'session-over': {
      title: 'The session of this device is over',
      lead: 'Your browser has to show the client certificate again, and did not do so this time.',
      steps: ['Try again: most browsers show it when the page is reloaded.', CHOSEN_BEFORE],
    },
    'another-site': {
      title: 'Another site wanted to change something here',
      lead: 'Another site made your browser send something to this server with your client certificate. Nothing was changed.',
      steps: ['If you meant to do this, do it from the start page of this server instead.'],
    },
    closed: {
      title: 'This page is closed',
      lead: 'This device may not open this page. It may need a client certificate, or a different one. Other pages of this server may still work.',
      steps: ['If you need this page, ask the person who runs this server.'],
    },
    'closed-to-this': {
      title: 'This page is closed',
      lead: 'This page is only for certain devices. Your browser has shown no client certificate, or that of another device.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'This request could not be read',
      lead: 'What this server received is not quite what a browser sends, so it checked neither client certificate nor session.',
      steps: [
        'Type the address again, or follow a fresh link.',
        'If it keeps happening, a browser extension or another program on the way may be changing what is sent. Try another browser.',
      ],
    },
    'at-the-server': {
      title: 'This server cannot check your device now',
      lead: 'Something on the server needs fixing. Your device and its client certificate may be fine.',
      steps: ['The person who runs this server can find the reason in its log.'],
    },
  } satisfies RefusalTexts,
  expiredOn: 'It was good until {day}.',
  tryAgain: 'Try again',
  startPage: 'Go to the start page',
  latecomer: {
    title: 'One moment',
    lead: 'This device and its client certificate have access now. If the page does not appear, reload it.',
  },
  haveYouBeenInvited: 'Have you been invited?',
  reset: {
    title: 'Reloading this site',
    lead: 'This removes the site’s service worker, which shows stored pages, and loads the start page from the server. You stay logged in.',
    withoutScript:
      'This needs JavaScript. Without it, delete this site’s data in the browser’s settings instead; that logs you out.',
  },
  enroll: {
    title: 'Set up this device',
    askForCode: 'Type the code of your invitation, or open its link on this device.',
    code: 'Code',
    codeHint: '20 letters and digits; upper or lower case, with or without hyphens',
    continue: 'Continue',
    looking: 'One moment: the invitation is being looked up.',
    offline: 'The server could not be reached. Is this device online?',
    again: 'Try again',
    invitedTitle: 'Set up “{device}”',
    invited: 'You are invited to use {site} on this device. It will be known there as “{device}”.',
    owner: 'Belongs to',
    until: 'Invitation ends',
    claim: 'Set up this device',
    claimHint: 'Do this only on the device you want to set up: the invitation works once.',
    already: 'This browser already has access, as “{device}”. Continue only to set it up again.',
    openInSafari:
      'This only works in Safari: no other app can install a certificate on an iPhone or iPad.',
    openInBrowser:
      'This page was opened inside another app, which cannot install a certificate. Copy the link and open it in the browser.',
    safariButton: 'Open in Safari',
    copyLink: 'Copy link',
    copied: 'Copied',
    claimedTitle: 'Install the certificate of “{device}”',
    inNow: 'This browser has access now. Install the certificate to keep it.',
    notInNow: 'This device has access once its certificate is installed.',
    refusedCertificate:
      'This browser shows another certificate, which is refused here. Remove that one from this device and close the browser entirely.',
    password: 'Password of the certificate',
    showPassword: 'Show password',
    copyPassword: 'Copy password',
    keepHint:
      'The password and the downloads stay here for one hour, or until you continue to Home Assistant.',
    downloadProfile: 'Download profile',
    downloadCertificate: 'Download certificate',
    saveFile: 'Save file',
    modernCertificate: 'The same, encrypted with AES: for Windows, Linux and systems since 2025',
    openApp: 'Open in Home Assistant’s app',
    open: 'Open Home Assistant',
    otherDevices: 'Other devices',
    guides: {
      iphone: {
        title: 'iPhone and iPad, in Safari',
        steps: [
          'Tap “Download profile”, then “Allow” and “Close”.',
          'Within 8 minutes, open Settings and tap “Profile Downloaded” at the top.',
          'Tap “Install”, enter this iPhone’s passcode, and tap “Install” and “Done”. “Not Signed” is expected.',
          'Come back here and tap “Open Home Assistant”. If Safari asks for a certificate, choose “{device}”.',
        ],
      },
      iphoneApp: {
        title: 'iPhone and iPad, Home Assistant’s app (2026.4 or later)',
        steps: [
          'Tap “Save file”.',
          'Tap “Copy password”.',
          'Tap “Open in Home Assistant’s app”, and accept.',
          'Tap “Select Certificate File”, choose the file in Downloads, paste the password, and tap “Import”.',
          'Log in. Then delete the file.',
        ],
      },
      android: {
        title: 'Android, in Chrome and in Home Assistant’s app',
        steps: [
          'Tap “Copy password”.',
          'Tap “Download certificate”. The installer opens; if not, tap the finished download.',
          'Paste the password, and tap “OK”.',
          'Leave “VPN & app user certificate” as it is, tap “OK”, keep the name, and tap “OK”.',
          'Tap “Open Home Assistant”, choose the certificate and tap “Select”. Then delete the downloaded file.',
          'For Home Assistant’s app: all of this first, then tap “Open in Home Assistant’s app”.',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Click “Download profile” and open it.',
          'In System Settings, General, Device Management, double-click the profile and click “Install”.',
          'Click “Open Home Assistant” and choose the certificate; if asked, enter this Mac’s password and click “Always Allow”.',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Click “Copy password” and “Download certificate”, and open the file.',
          'Keep “Current User”, and click “Next” twice.',
          'Paste the password, and click “Next”.',
          'Keep “Automatically select the certificate store”, click “Next” and “Finish”.',
          'Close all windows of the browser, open it again, and go to {site}. Firefox: as under Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Click “Copy password” and “Download certificate”.',
          'Chromium: Settings, Privacy and security, Security, Manage certificates, Your certificates, Import.',
          'Firefox: Settings, Privacy & Security, Manage certificates, Your Certificates, Import.',
          'Choose the file, and paste the password.',
          'Restart the browser after importing, and go to {site}.',
        ],
      },
    } satisfies GuideTexts,
    troubleTitle: 'If something goes wrong',
    trouble: [
      'A child’s phone under Family Link, an iPhone managed by an employer or a school, and Lockdown Mode don’t let you install a certificate. This browser still has access, until its session ends.',
      'If the phone has a work profile, install the certificate in the profile where you use the browser or the app.',
      'In iOS’s Code Scanner, tap the compass first: that opens Safari.',
      'If you are told that a certificate is invalid, check the date and time of this device.',
    ],
    problems: {
      unknown: {
        title: 'This invitation is not known',
        lead: 'There is no invitation with this code at this address.',
        steps: ['Check the code, or open the link again.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'This invitation has already been used',
        lead: 'A device was set up with it: {time}.',
        steps: [
          `Was that you, on this device? Then the certificate may already be installed. If not: ${ASK_FOR_INVITATION}`,
          'Was it someone else? Tell the person who invited you at once: that device should be revoked.',
        ],
      },
      ended: {
        title: 'This invitation has ended',
        lead: 'It has expired, or it was withdrawn.',
        steps: [ASK_FOR_INVITATION, 'If it was created just now, the server’s clock may be wrong.'],
      },
      malformed: {
        title: 'This is not a code',
        lead: 'A code has 20 letters and digits, without 0, 1, l and o.',
        steps: ['Check that no character is missing.'],
      },
      'rate-limited': {
        title: 'Too many attempts',
        lead: 'Too many wrong codes came from your network.',
        steps: ['Wait a minute and try again.'],
      },
      'read-only': {
        title: 'This server cannot issue certificates now',
        lead: 'It cannot write to its data directory. The invitation stays valid.',
        steps: ['Tell the person who runs this server and try again later.'],
      },
    } satisfies ProblemTexts,
  },
}
