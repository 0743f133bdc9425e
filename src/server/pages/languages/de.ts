import type { Texts } from './en.ts'

const CHOSEN_BEFORE =
  'Falls Sie abgebrochen haben, als der Browser nach einem Zertifikat fragte, oder das falsche gewählt haben: Der Browser merkt sich das, bis Sie ihn schließen. Schließen Sie alle seine Fenster (auf dem Telefon: wegwischen) und öffnen Sie ihn dann wieder.'
const ASK_FOR_ONE =
  'Bitten Sie den Betreiber dieses Servers um ein neues und installieren Sie es auf diesem Gerät.'
const INSTALLED_SINCE =
  'Falls Sie schon ein neues installiert haben: Schließen Sie den Browser ganz und öffnen Sie ihn wieder, damit er fragt, welches er vorlegen soll.'
const IS_IT_INSTALLED =
  'Ist es auf diesem Gerät installiert? Wenn nicht, bitten Sie den Betreiber dieses Servers um eines.'
const ASK_FOR_INVITATION = 'Bitten Sie um eine neue Einladung.'

export const de: Texts = {
  refusals: {
    'no-certificate': {
      title: 'Es wurde kein Zertifikat vorgelegt',
      lead: 'Ihr Browser hat das Client-Zertifikat nicht vorgelegt, an dem dieser Server seine Geräte erkennt.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'unsuitable-certificate': {
      title: 'Dieses Zertifikat gilt hier nicht',
      lead: 'Ihr Browser hat ein Client-Zertifikat vorgelegt, das keinem Gerät dieses Servers gehört.',
      steps: [
        'Falls Sie mehrere Zertifikate haben und das falsche gewählt haben: Der Browser merkt sich das, bis Sie ihn schließen. Schließen Sie alle seine Fenster (auf dem Telefon: wegwischen) und öffnen Sie ihn dann wieder.',
        'Wenn es das Zertifikat ist, das Sie für diesen Server bekommen haben, bitten Sie den Betreiber um ein neues.',
      ],
    },
    'expired-certificate': {
      title: 'Das Zertifikat dieses Geräts ist abgelaufen',
      lead: 'Das Client-Zertifikat, das Ihr Browser vorgelegt hat, ist abgelaufen.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'Das Zertifikat dieses Geräts wurde widerrufen',
      lead: 'Das Client-Zertifikat dieses Geräts gilt nicht mehr.',
      steps: [`Soll dieses Gerät Zugang haben? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'Dieses Zertifikat wurde durch ein neueres ersetzt',
      lead: 'Dieses Gerät hat ein neueres Client-Zertifikat bekommen, und Ihr Browser hat das alte vorgelegt.',
      steps: [
        'Ist das neue auf diesem Gerät installiert? Wenn nicht, installieren Sie es oder bitten Sie den Betreiber dieses Servers darum.',
        'Entfernen Sie das alte, schließen Sie den Browser ganz und öffnen Sie ihn wieder, damit er das neue vorlegt.',
      ],
    },
    'session-over': {
      title: 'Die Sitzung dieses Geräts ist abgelaufen',
      lead: 'Ihr Browser muss das Client-Zertifikat erneut vorlegen und hat das diesmal nicht getan.',
      steps: [
        'Versuchen Sie es noch einmal: Die meisten Browser legen es beim Neuladen vor.',
        CHOSEN_BEFORE,
      ],
    },
    'another-site': {
      title: 'Eine andere Website wollte hier etwas ändern',
      lead: 'Eine andere Website hat Ihren Browser veranlasst, mit Ihrem Client-Zertifikat etwas an diesen Server zu schicken. Es wurde nichts geändert.',
      steps: [
        'Falls Sie das selbst wollten, tun Sie es stattdessen über die Startseite dieses Servers.',
      ],
    },
    closed: {
      title: 'Diese Seite ist gesperrt',
      lead: 'Dieses Gerät darf diese Seite nicht öffnen. Vielleicht braucht es dafür ein Client-Zertifikat oder ein anderes Zertifikat. Andere Seiten dieses Servers funktionieren möglicherweise trotzdem.',
      steps: ['Wenn Sie diese Seite brauchen, fragen Sie den Betreiber dieses Servers.'],
    },
    'closed-to-this': {
      title: 'Diese Seite ist gesperrt',
      lead: 'Diese Seite ist nur für bestimmte Geräte. Ihr Browser hat kein Client-Zertifikat vorgelegt oder das eines anderen Geräts.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'Diese Anfrage war nicht lesbar',
      lead: 'So, wie sie hier angekommen ist, sendet sie kein Browser. Deshalb wurden weder Client-Zertifikat noch Sitzung geprüft.',
      steps: [
        'Geben Sie die Adresse neu ein oder öffnen Sie einen aktuellen Link.',
        'Wenn das wieder passiert, verändert vielleicht eine Browser-Erweiterung oder ein anderes Programm unterwegs, was gesendet wird. Versuchen Sie es mit einem anderen Browser.',
      ],
    },
    'at-the-server': {
      title: 'Dieser Server kann Ihr Gerät gerade nicht prüfen',
      lead: 'Auf dem Server muss ein Problem behoben werden. Ihr Gerät und sein Client-Zertifikat sind möglicherweise in Ordnung.',
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
    lead: 'Diese Seite entfernt den Service Worker der Website, der gespeicherte Seiten anzeigt, und lädt die Startseite vom Server. Sie bleiben angemeldet.',
    withoutScript:
      'Dafür wird JavaScript benötigt. Löschen Sie sonst die Daten dieser Website in den Einstellungen des Browsers; dadurch werden Sie abgemeldet.',
  },
  enroll: {
    title: 'Dieses Gerät einrichten',
    askForCode: 'Geben Sie den Code Ihrer Einladung ein oder öffnen Sie den Link auf diesem Gerät.',
    code: 'Code',
    codeHint: '20 Buchstaben und Ziffern; Großschreibung und Bindestriche spielen keine Rolle',
    continue: 'Weiter',
    looking: 'Einen Moment: Die Einladung wird gesucht.',
    offline: 'Der Server war nicht erreichbar. Ist dieses Gerät online?',
    again: 'Noch einmal versuchen',
    invitedTitle: '„{device}“ einrichten',
    invited:
      'Sie sind eingeladen, {site} auf diesem Gerät zu benutzen. Das Gerät heißt dort „{device}“.',
    owner: 'Gehört',
    until: 'Einladung gilt bis',
    claim: 'Dieses Gerät einrichten',
    claimHint: 'Nur auf dem Gerät, das eingerichtet werden soll: Die Einladung gilt nur einmal.',
    already:
      'Dieser Browser hat bereits Zugang, als „{device}“. Fahren Sie nur fort, wenn Sie ihn neu einrichten wollen.',
    openInSafari:
      'Das geht nur in Safari: Andere Apps können auf einem iPhone oder iPad kein Zertifikat installieren.',
    openInBrowser:
      'Diese Seite wurde in einer anderen App geöffnet, die kein Zertifikat installieren kann. Kopieren Sie den Link und öffnen Sie ihn im Browser.',
    safariButton: 'In Safari öffnen',
    copyLink: 'Link kopieren',
    copied: 'Kopiert',
    claimedTitle: 'Zertifikat von „{device}“ installieren',
    inNow: 'Dieser Browser hat jetzt Zugang. Installieren Sie das Zertifikat, damit es so bleibt.',
    notInNow: 'Dieses Gerät hat Zugang, sobald sein Zertifikat installiert ist.',
    refusedCertificate:
      'Dieser Browser legt ein anderes Zertifikat vor, das hier nicht gilt. Entfernen Sie es von diesem Gerät und schließen Sie den Browser ganz.',
    password: 'Passwort des Zertifikats',
    showPassword: 'Passwort anzeigen',
    copyPassword: 'Passwort kopieren',
    keepHint:
      'Passwort und Dateien bleiben eine Stunde lang hier oder bis Sie zu Home Assistant weitergehen.',
    downloadProfile: 'Profil laden',
    downloadCertificate: 'Zertifikat herunterladen',
    saveFile: 'Datei sichern',
    modernCertificate: 'Dasselbe, mit AES verschlüsselt: für Windows, Linux und Systeme ab 2025',
    openApp: 'In der Home-Assistant-App öffnen',
    open: 'Home Assistant öffnen',
    otherDevices: 'Andere Geräte',
    guides: {
      iphone: {
        title: 'iPhone und iPad, in Safari',
        steps: [
          'Tippen Sie auf „Profil laden“, dann auf „Zulassen“ und „Schließen“.',
          'Öffnen Sie binnen 8 Minuten die Einstellungen und tippen Sie oben auf „Profil geladen“.',
          'Tippen Sie auf „Installieren“, geben Sie den Code dieses iPhones ein und tippen Sie auf „Installieren“ und „Fertig“. „Nicht signiert“ ist richtig so.',
          'Kommen Sie hierher zurück und tippen Sie auf „Home Assistant öffnen“. Fragt Safari nach einem Zertifikat, wählen Sie „{device}“.',
        ],
      },
      iphoneApp: {
        title: 'iPhone und iPad, Home-Assistant-App (ab 2026.4)',
        steps: [
          'Tippen Sie auf „Datei sichern“.',
          'Tippen Sie auf „Passwort kopieren“.',
          'Tippen Sie auf „In der Home-Assistant-App öffnen“ und stimmen Sie zu.',
          'Tippen Sie auf „Select Certificate File“, wählen Sie die Datei unter Downloads, fügen Sie das Passwort ein und tippen Sie auf „Import“.',
          'Melden Sie sich an. Löschen Sie dann die Datei.',
        ],
      },
      android: {
        title: 'Android, in Chrome und in der Home-Assistant-App',
        steps: [
          'Tippen Sie auf „Passwort kopieren“.',
          'Tippen Sie auf „Zertifikat herunterladen“. Die Installation beginnt; wenn nicht, tippen Sie auf die heruntergeladene Datei.',
          'Fügen Sie das Passwort ein und tippen Sie auf „OK“.',
          'Lassen Sie „VPN- und App-Nutzerzertifikat“ stehen, tippen Sie auf „OK“, behalten Sie den Namen bei und tippen Sie auf „OK“.',
          'Tippen Sie auf „Home Assistant öffnen“, wählen Sie das Zertifikat und tippen Sie auf „Auswählen“. Löschen Sie dann die heruntergeladene Datei.',
          'Für die Home-Assistant-App: erst all das, dann „In der Home-Assistant-App öffnen“.',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Klicken Sie auf „Profil laden“ und öffnen Sie es.',
          'Doppelklicken Sie in den Systemeinstellungen unter Allgemein, Geräteverwaltung auf das Profil und klicken Sie auf „Installieren“.',
          'Klicken Sie auf „Home Assistant öffnen“ und wählen Sie das Zertifikat; falls danach gefragt wird, geben Sie das Passwort dieses Macs ein und klicken Sie auf „Immer erlauben“.',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Klicken Sie auf „Passwort kopieren“ und „Zertifikat herunterladen“, dann öffnen Sie die Datei.',
          'Behalten Sie „Aktueller Benutzer“ bei und klicken Sie zweimal auf „Weiter“.',
          'Fügen Sie das Passwort ein und klicken Sie auf „Weiter“.',
          'Behalten Sie „Zertifikatspeicher automatisch auswählen“ bei und klicken Sie auf „Weiter“ und „Fertig stellen“.',
          'Schließen Sie alle Fenster des Browsers, öffnen Sie ihn wieder und gehen Sie zu {site}. Firefox: wie unter Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Klicken Sie auf „Passwort kopieren“ und „Zertifikat herunterladen“.',
          'Chromium: Einstellungen, Datenschutz und Sicherheit, Sicherheit, Zertifikate verwalten, Meine Zertifikate, Importieren.',
          'Firefox: Einstellungen, Datenschutz & Sicherheit, Zertifikate anzeigen, Ihre Zertifikate, Importieren.',
          'Wählen Sie die Datei und fügen Sie das Passwort ein.',
          'Starten Sie den Browser nach dem Import neu und gehen Sie zu {site}.',
        ],
      },
    },
    troubleTitle: 'Wenn etwas nicht klappt',
    trouble: [
      'Auf dem Telefon eines Kindes mit Family Link, auf einem von Arbeitgeber oder Schule verwalteten iPhone und im Blockierungsmodus lässt sich kein Zertifikat installieren. Dieser Browser hat trotzdem Zugang, bis seine Sitzung endet.',
      'Wenn das Telefon ein Arbeitsprofil hat, installieren Sie das Zertifikat in dem Profil, in dem Sie den Browser oder die App verwenden.',
      'Im Codescanner von iOS tippen Sie zuerst auf den Kompass: Er öffnet Safari.',
      'Wenn ein Zertifikat als ungültig gemeldet wird, prüfen Sie Datum und Uhrzeit dieses Geräts.',
    ],
    problems: {
      unknown: {
        title: 'Diese Einladung ist nicht bekannt',
        lead: 'Unter dieser Adresse gibt es keine Einladung mit diesem Code.',
        steps: ['Prüfen Sie den Code oder öffnen Sie den Link noch einmal.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'Diese Einladung wurde schon benutzt',
        lead: 'Mit ihr wurde ein Gerät eingerichtet: {time}.',
        steps: [
          `Waren Sie das, auf diesem Gerät? Dann ist das Zertifikat vielleicht schon installiert. Wenn nicht: ${ASK_FOR_INVITATION}`,
          'War es jemand anderes? Sagen Sie sofort der Person Bescheid, die Sie eingeladen hat: Das andere Gerät sollte gesperrt werden.',
        ],
      },
      ended: {
        title: 'Diese Einladung gilt nicht mehr',
        lead: 'Sie ist abgelaufen oder wurde zurückgezogen.',
        steps: [
          ASK_FOR_INVITATION,
          'Wurde sie gerade erst erstellt? Dann geht vielleicht die Uhr des Servers falsch.',
        ],
      },
      malformed: {
        title: 'Das ist kein Code',
        lead: 'Ein Code besteht aus 20 Buchstaben und Ziffern, ohne 0, 1, l und o.',
        steps: ['Prüfen Sie, ob Zeichen fehlen.'],
      },
      'rate-limited': {
        title: 'Zu viele Versuche',
        lead: 'Aus Ihrem Netz kamen zu viele falsche Codes.',
        steps: ['Warten Sie eine Minute und versuchen Sie es noch einmal.'],
      },
      'read-only': {
        title: 'Dieser Server kann gerade keine Zertifikate ausstellen',
        lead: 'Er kann nicht in sein Datenverzeichnis schreiben. Die Einladung bleibt gültig.',
        steps: [
          'Sagen Sie dem Betreiber dieses Servers Bescheid und versuchen Sie es später noch einmal.',
        ],
      },
    },
  },
}
