import type { Texts } from './en.ts'

const CHOSEN_BEFORE =
  'Haben Sie abgebrochen, als der Browser nach einem Zertifikat fragte, oder ein anderes gewählt? Er merkt sich das, bis er ganz geschlossen wird: alle Fenster, auf dem Telefon durch Wegwischen. Öffnen Sie ihn dann wieder.'
const ASK_FOR_ONE =
  'Bitten Sie den Betreiber dieses Servers um ein neues, und installieren Sie es auf diesem Gerät.'
const INSTALLED_SINCE =
  'Haben Sie schon ein neues installiert? Schließen Sie den Browser ganz und öffnen Sie ihn wieder, damit er fragt, welches er vorzeigen soll.'
const IS_IT_INSTALLED =
  'Ist es auf diesem Gerät installiert? Wenn nicht, bitten Sie den Betreiber dieses Servers um eines.'
const ASK_FOR_INVITATION = 'Bitten Sie um eine neue Einladung.'

export const de: Texts = {
  refusals: {
    'no-certificate': {
      title: 'Es wurde kein Zertifikat vorgezeigt',
      lead: 'Ihr Browser hat das Client-Zertifikat nicht vorgezeigt, an dem dieser Server seine Geräte erkennt.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'unsuitable-certificate': {
      title: 'Dieses Zertifikat gilt hier nicht',
      lead: 'Ihr Browser hat ein Client-Zertifikat vorgezeigt, das keinem Gerät dieses Servers gehört.',
      steps: [
        'Haben Sie mehrere Zertifikate, und ein anderes gewählt? Der Browser merkt sich das, bis er ganz geschlossen wird: alle Fenster, auf dem Telefon durch Wegwischen. Öffnen Sie ihn dann wieder.',
        'Ist es das Zertifikat, das Sie für diesen Server bekommen haben? Bitten Sie den Betreiber um ein neues.',
      ],
    },
    'expired-certificate': {
      title: 'Das Zertifikat dieses Geräts ist abgelaufen',
      lead: 'Das Client-Zertifikat, das Ihr Browser vorgezeigt hat, gilt nicht mehr.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'Das Zertifikat dieses Geräts wurde zurückgezogen',
      lead: 'Das Client-Zertifikat dieses Geräts gilt nicht mehr.',
      steps: [`Soll dieses Gerät Zugang haben? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'Dieses Zertifikat wurde durch ein neueres ersetzt',
      lead: 'Dieses Gerät hat ein neueres Client-Zertifikat bekommen, und Ihr Browser hat das alte vorgezeigt.',
      steps: [
        'Ist das neue auf diesem Gerät installiert? Wenn nicht, installieren Sie es, oder bitten Sie den Betreiber dieses Servers darum.',
        'Entfernen Sie das alte, schließen Sie den Browser ganz und öffnen Sie ihn wieder, damit er das neue vorzeigt.',
      ],
    },
    'session-over': {
      title: 'Die Sitzung dieses Geräts ist zu Ende',
      lead: 'Ihr Browser muss das Client-Zertifikat wieder vorzeigen, und hat es diesmal nicht getan.',
      steps: [
        'Versuchen Sie es noch einmal: Die meisten Browser zeigen es beim Neuladen vor.',
        CHOSEN_BEFORE,
      ],
    },
    'another-site': {
      title: 'Eine andere Website wollte hier etwas ändern',
      lead: 'Eine andere Website hat Ihren Browser veranlasst, mit Ihrem Client-Zertifikat etwas an diesen Server zu schicken. Es wurde nichts geändert.',
      steps: [
        'Wenn Sie das selbst wollten, beginnen Sie stattdessen auf der Startseite dieses Servers.',
      ],
    },
    closed: {
      title: 'Diese Seite ist gesperrt',
      lead: 'Was dieses Gerät vorgezeigt hat, reicht für diese Seite nicht. Ein Client-Zertifikat, oder ein anderes, kann Zugang geben; andere Seiten dieses Servers sind vielleicht schon zugänglich.',
      steps: ['Brauchen Sie die Seite? Fragen Sie den Betreiber dieses Servers.'],
    },
    'closed-to-this': {
      title: 'Diese Seite ist gesperrt',
      lead: 'Diese Seite verlangt das Client-Zertifikat eines Geräts, das sie sehen darf. Ihr Browser hat diesmal keines vorgezeigt, oder das eines anderen Geräts.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'Diese Anfrage war nicht lesbar',
      lead: 'Was an diesem Server angekommen ist, schickt so kein Browser. Deshalb wurden weder Client-Zertifikat noch Sitzung angesehen.',
      steps: [
        'Geben Sie die Adresse neu ein, oder folgen Sie einem frischen Link.',
        'Bleibt es dabei? Eine Erweiterung des Browsers oder ein anderes Programm unterwegs verändert vielleicht, was gesendet wird. Versuchen Sie einen anderen Browser.',
      ],
    },
    'at-the-server': {
      title: 'Dieser Server kann Ihr Gerät gerade nicht prüfen',
      lead: 'Am Server muss etwas in Ordnung gebracht werden. Ihr Gerät und sein Client-Zertifikat sind vielleicht in Ordnung.',
      steps: ['Der Betreiber dieses Servers findet den Grund im Protokoll.'],
    },
  },
  expiredOn: 'Es galt bis zum {day}.',
  tryAgain: 'Noch einmal versuchen',
  startPage: 'Zur Startseite',
  latecomer: {
    title: 'Einen Moment',
    lead: 'Dieses Gerät und sein Client-Zertifikat haben jetzt Zugang. Wenn die Seite nicht erscheint, laden Sie sie neu.',
  },
  haveYouBeenInvited: 'Wurden Sie eingeladen?',
  reset: {
    title: 'Diese Website wird neu geladen',
    lead: 'Was dieser Browser von den Seiten der Website aufgehoben hat, wird beiseitegelegt, und die Startseite wird vom Server geladen. Niemand wird abgemeldet.',
    withoutScript:
      'Das braucht JavaScript. Ohne JavaScript löschen Sie stattdessen die Daten dieser Website in den Einstellungen des Browsers; das meldet Sie ab.',
  },
  enroll: {
    title: 'Dieses Gerät einrichten',
    askForCode:
      'Geben Sie den Code Ihrer Einladung ein, oder öffnen Sie ihren Link auf diesem Gerät.',
    code: 'Code',
    codeHint: '20 Buchstaben und Ziffern; groß oder klein, mit oder ohne Bindestriche',
    continue: 'Weiter',
    looking: 'Einen Moment: Die Einladung wird gesucht.',
    offline: 'Der Server war nicht erreichbar. Ist dieses Gerät online?',
    again: 'Noch einmal versuchen',
    invitedTitle: '„{device}“ einrichten',
    invited: 'Sie sind eingeladen, {site} auf diesem Gerät zu benutzen. Dort heißt es „{device}“.',
    owner: 'Gehört',
    until: 'Einladung gilt bis',
    claim: 'Dieses Gerät einrichten',
    claimHint: 'Nur auf dem Gerät, das eingerichtet werden soll: Die Einladung gilt einmal.',
    already:
      'Dieser Browser hat schon Zugang, als „{device}“. Weiter nur, wenn Sie ihn neu einrichten wollen.',
    openInSafari:
      'Das geht nur in Safari: Aus einer anderen App kann ein iPhone oder iPad kein Zertifikat installieren.',
    openInBrowser:
      'Diese Seite wurde in einer anderen App geöffnet, die kein Zertifikat installieren kann. Kopieren Sie den Link, und öffnen Sie ihn im Browser.',
    safariButton: 'In Safari öffnen',
    copyLink: 'Link kopieren',
    copied: 'Kopiert',
    claimedTitle: 'Zertifikat von „{device}“ installieren',
    inNow: 'Dieser Browser hat jetzt Zugang. Installieren Sie das Zertifikat, damit es so bleibt.',
    notInNow: 'Dieses Gerät hat Zugang, sobald sein Zertifikat installiert ist.',
    refusedCertificate:
      'Dieser Browser zeigt ein anderes Zertifikat vor, das hier nicht gilt. Entfernen Sie es von diesem Gerät, und schließen Sie den Browser ganz.',
    password: 'Passwort des Zertifikats',
    showPassword: 'Passwort anzeigen',
    copyPassword: 'Passwort kopieren',
    keepHint:
      'Passwort und Dateien sind eine Stunde lang hier, oder bis Sie zu Home Assistant weitergehen.',
    downloadProfile: 'Profil laden',
    downloadCertificate: 'Zertifikat laden',
    saveFile: 'Datei sichern',
    modernCertificate: 'Dasselbe, mit AES verschlüsselt: für Windows, Linux und Systeme ab 2025',
    openApp: 'In der App von Home Assistant öffnen',
    open: 'Home Assistant öffnen',
    otherDevices: 'Andere Geräte',
    guides: {
      iphone: {
        title: 'iPhone und iPad, in Safari',
        steps: [
          'Tippen Sie auf „Profil laden“, dann auf „Zulassen“ und „Schließen“.',
          'Öffnen Sie binnen 8 Minuten die Einstellungen und tippen Sie oben auf „Profil geladen“.',
          'Tippen Sie auf „Installieren“, geben Sie den Code dieses iPhones ein, und tippen Sie auf „Installieren“ und „Fertig“. „Nicht signiert“ ist richtig so.',
          'Kommen Sie hierher zurück und tippen Sie auf „Home Assistant öffnen“. Fragt Safari nach einem Zertifikat, wählen Sie „{device}“.',
        ],
      },
      iphoneApp: {
        title: 'iPhone und iPad, App von Home Assistant (ab 2026.4)',
        steps: [
          'Tippen Sie auf „Datei sichern“.',
          'Tippen Sie auf „Passwort kopieren“.',
          'Tippen Sie auf „In der App von Home Assistant öffnen“, und stimmen Sie zu.',
          'Tippen Sie auf „Select Certificate File“, wählen Sie die Datei unter Downloads, setzen Sie das Passwort ein, und tippen Sie auf „Import“.',
          'Melden Sie sich an. Löschen Sie dann die Datei.',
        ],
      },
      android: {
        title: 'Android, in Chrome und in der App von Home Assistant',
        steps: [
          'Tippen Sie auf „Passwort kopieren“.',
          'Tippen Sie auf „Zertifikat laden“. Die Installation beginnt; wenn nicht, tippen Sie auf die geladene Datei.',
          'Setzen Sie das Passwort ein, und tippen Sie auf „OK“.',
          'Lassen Sie „VPN- und App-Nutzerzertifikat“ stehen, tippen Sie auf „OK“, lassen Sie den Namen, und tippen Sie auf „OK“.',
          'Tippen Sie auf „Home Assistant öffnen“, wählen Sie das Zertifikat, und tippen Sie auf „Auswählen“. Löschen Sie dann die geladene Datei.',
          'Für die App von Home Assistant: erst all das, dann „In der App von Home Assistant öffnen“.',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Klicken Sie auf „Profil laden“, und öffnen Sie es.',
          'Doppelklicken Sie in den Systemeinstellungen unter Allgemein, Geräteverwaltung auf das Profil, und klicken Sie auf „Installieren“.',
          'Klicken Sie auf „Home Assistant öffnen“ und wählen Sie das Zertifikat; wird gefragt, geben Sie das Passwort dieses Macs ein und klicken Sie auf „Immer erlauben“.',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Klicken Sie auf „Passwort kopieren“ und „Zertifikat laden“, und öffnen Sie die Datei.',
          'Lassen Sie „Aktueller Benutzer“, und klicken Sie zweimal auf „Weiter“.',
          'Setzen Sie das Passwort ein, und klicken Sie auf „Weiter“.',
          'Lassen Sie „Zertifikatspeicher automatisch auswählen“, klicken Sie auf „Weiter“ und „Fertig stellen“.',
          'Schließen Sie alle Fenster des Browsers, öffnen Sie ihn wieder, und gehen Sie zu {site}. Firefox: wie unter Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Klicken Sie auf „Passwort kopieren“ und „Zertifikat laden“.',
          'Chromium: Einstellungen, Datenschutz und Sicherheit, Sicherheit, Zertifikate verwalten, Meine Zertifikate, Importieren.',
          'Firefox: Einstellungen, Datenschutz & Sicherheit, Zertifikate anzeigen, Ihre Zertifikate, Importieren.',
          'Wählen Sie die Datei, setzen Sie das Passwort ein, und gehen Sie zu {site}.',
          'Nach pk12util schließen Sie Chromium ganz und öffnen es wieder.',
        ],
      },
    },
    troubleTitle: 'Wenn etwas im Weg steht',
    trouble: [
      'Das Telefon eines Kindes unter Family Link, ein von Arbeitgeber oder Schule verwaltetes iPhone und der Blockierungsmodus installieren kein Zertifikat. Dieser Browser hat trotzdem Zugang, bis seine Sitzung endet.',
      'Mit einem Arbeitsprofil installieren Sie das Zertifikat in dem Profil, in dem der Browser oder die App ist.',
      'Im Codescanner von iOS tippen Sie erst auf den Kompass: Er öffnet Safari.',
      'Prüfen Sie Datum und Uhrzeit dieses Geräts, wenn es heißt, ein Zertifikat sei ungültig.',
    ],
    problems: {
      unknown: {
        title: 'Diese Einladung ist nicht bekannt',
        lead: 'Unter dieser Adresse gibt es keine Einladung mit diesem Code.',
        steps: ['Prüfen Sie den Code, oder öffnen Sie den Link noch einmal.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'Diese Einladung wurde schon benutzt',
        lead: 'Mit ihr wurde ein Gerät eingerichtet: {time}.',
        steps: [
          `Waren Sie das, auf diesem Gerät? Dann ist das Zertifikat vielleicht schon installiert. Wenn nicht: ${ASK_FOR_INVITATION}`,
          'War es jemand anders? Sagen Sie sofort der Person Bescheid, die Sie eingeladen hat: Jenes Gerät sollte gesperrt werden.',
        ],
      },
      ended: {
        title: 'Diese Einladung gilt nicht mehr',
        lead: 'Ihre Zeit ist vorbei, oder sie wurde zurückgezogen.',
        steps: [
          ASK_FOR_INVITATION,
          'Wurde sie gerade erst erstellt? Dann geht vielleicht die Uhr des Servers falsch.',
        ],
      },
      malformed: {
        title: 'Das ist kein Code',
        lead: 'Ein Code hat 20 Buchstaben und Ziffern, ohne 0, 1, l und o.',
        steps: ['Prüfen Sie, ob Zeichen fehlen.'],
      },
      'rate-limited': {
        title: 'Zu viele Versuche',
        lead: 'Aus Ihrem Netz kamen zu viele falsche Codes.',
        steps: ['Warten Sie eine Minute, und versuchen Sie es noch einmal.'],
      },
      'read-only': {
        title: 'Dieser Server kann gerade keine Zertifikate ausgeben',
        lead: 'Er darf nicht in sein Datenverzeichnis schreiben. Die Einladung bleibt gültig.',
        steps: ['Sagen Sie dem Betreiber dieses Servers Bescheid, und versuchen Sie es später.'],
      },
    },
  },
}
