import type { Texts } from './en.ts'

const CHOSEN_BEFORE =
  'Hebt u geannuleerd toen de browser om een certificaat vroeg, of een ander gekozen? De browser onthoudt dat tot hij helemaal gesloten wordt: alle vensters, op een telefoon door hem weg te vegen. Open hem daarna weer.'
const ASK_FOR_ONE =
  'Vraag de beheerder van deze server om een nieuw certificaat, en installeer het op dit apparaat.'
const INSTALLED_SINCE =
  'Hebt u al een nieuw certificaat geïnstalleerd? Sluit de browser helemaal en open hem weer, zodat hij vraagt welk hij moet tonen.'
const IS_IT_INSTALLED =
  'Is het op dit apparaat geïnstalleerd? Zo niet, vraag de beheerder van deze server erom.'
const ASK_FOR_INVITATION = 'Vraag om een nieuwe uitnodiging.'

export const nl: Texts = {
  refusals: {
    'no-certificate': {
      title: 'Er is geen certificaat getoond',
      lead: 'Uw browser heeft het clientcertificaat niet getoond waaraan deze server zijn apparaten herkent.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'unsuitable-certificate': {
      title: 'Dit certificaat wordt hier niet geaccepteerd',
      lead: 'Uw browser heeft een clientcertificaat getoond dat niet van een apparaat van deze server is.',
      steps: [
        'Hebt u meerdere certificaten, en een ander gekozen? De browser onthoudt dat tot hij helemaal gesloten wordt: alle vensters, op een telefoon door hem weg te vegen. Open hem daarna weer.',
        'Is het het certificaat dat u voor deze server hebt gekregen? Vraag de beheerder om een nieuw.',
      ],
    },
    'expired-certificate': {
      title: 'Het certificaat van dit apparaat is verlopen',
      lead: 'Het clientcertificaat dat uw browser heeft getoond, is niet meer geldig.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'Het certificaat van dit apparaat is ingetrokken',
      lead: 'Het clientcertificaat van dit apparaat wordt niet meer geaccepteerd.',
      steps: [`Moet dit apparaat toegang hebben? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'Dit certificaat is vervangen door een nieuwer',
      lead: 'Dit apparaat heeft een nieuwer clientcertificaat gekregen, en uw browser heeft het oude getoond.',
      steps: [
        'Is het nieuwe op dit apparaat geïnstalleerd? Zo niet, installeer het, of vraag de beheerder van deze server erom.',
        'Verwijder het oude, sluit de browser helemaal en open hem weer, zodat hij het nieuwe toont.',
      ],
    },
    'session-over': {
      title: 'De sessie van dit apparaat is voorbij',
      lead: 'Uw browser moet het clientcertificaat opnieuw tonen, en heeft dat deze keer niet gedaan.',
      steps: [
        'Probeer het opnieuw: de meeste browsers tonen het als de pagina opnieuw wordt geladen.',
        CHOSEN_BEFORE,
      ],
    },
    'another-site': {
      title: 'Een andere site wilde hier iets veranderen',
      lead: 'Een andere site liet uw browser iets naar deze server sturen, met uw clientcertificaat. Er is niets veranderd.',
      steps: ['Als dat uw eigen bedoeling was, begin dan op de startpagina van deze server.'],
    },
    closed: {
      title: 'Deze pagina is gesloten',
      lead: 'Wat dit apparaat heeft getoond, is niet genoeg voor deze pagina. Een clientcertificaat, of een ander, kan toegang geven; andere pagina’s van deze server zijn misschien al toegankelijk.',
      steps: ['Hebt u de pagina nodig? Vraag het de beheerder van deze server.'],
    },
    'closed-to-this': {
      title: 'Deze pagina is gesloten',
      lead: 'Deze pagina vraagt het clientcertificaat van een apparaat dat haar mag zien. Uw browser heeft er deze keer geen getoond, of dat van een ander apparaat.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'Dit verzoek kon niet worden gelezen',
      lead: 'Wat bij deze server is aangekomen, is niet precies wat een browser stuurt. Daarom is noch naar clientcertificaat noch naar sessie gekeken.',
      steps: [
        'Typ het adres opnieuw, of volg een verse link.',
        'Blijft het zo? Een extensie van de browser of een ander programma onderweg verandert misschien wat er wordt gestuurd. Probeer een andere browser.',
      ],
    },
    'at-the-server': {
      title: 'Deze server kan uw apparaat nu niet controleren',
      lead: 'Er moet iets aan de server in orde worden gebracht. Uw apparaat en zijn clientcertificaat zijn misschien in orde.',
      steps: ['De beheerder van deze server vindt de reden in het logboek.'],
    },
  },
  expiredOn: 'Het was geldig tot {day}.',
  tryAgain: 'Opnieuw proberen',
  startPage: 'Naar de startpagina',
  latecomer: {
    title: 'Een ogenblik',
    lead: 'Dit apparaat en zijn clientcertificaat hebben nu toegang. Verschijnt de pagina niet, laad haar dan opnieuw.',
  },
  haveYouBeenInvited: 'Bent u uitgenodigd?',
  reset: {
    title: 'Deze site wordt opnieuw geladen',
    lead: 'Wat deze browser van de pagina’s van de site heeft bewaard, wordt opzijgezet, en de startpagina wordt van de server geladen. Niemand wordt afgemeld.',
    withoutScript:
      'Dit heeft JavaScript nodig. Verwijder anders de gegevens van deze site in de instellingen van de browser; dat meldt u af.',
  },
  enroll: {
    title: 'Dit apparaat instellen',
    askForCode: 'Typ de code van uw uitnodiging, of open haar link op dit apparaat.',
    code: 'Code',
    codeHint: '20 letters en cijfers; hoofdletters of kleine letters, met of zonder koppeltekens',
    continue: 'Verder',
    looking: 'Een ogenblik: de uitnodiging wordt opgezocht.',
    offline: 'De server was niet bereikbaar. Is dit apparaat online?',
    again: 'Opnieuw proberen',
    invitedTitle: '‘{device}’ instellen',
    invited: 'U bent uitgenodigd om {site} op dit apparaat te gebruiken. Het heet daar ‘{device}’.',
    owner: 'Is van',
    until: 'Uitnodiging geldt tot',
    claim: 'Dit apparaat instellen',
    claimHint: 'Alleen op het apparaat dat ingesteld moet worden: de uitnodiging werkt één keer.',
    already:
      'Deze browser heeft al toegang, als ‘{device}’. Ga alleen verder om hem opnieuw in te stellen.',
    openInSafari:
      'Dit moet in Safari: vanuit een andere app kan een iPhone of iPad geen certificaat installeren.',
    openInBrowser:
      'Deze pagina is in een andere app geopend, die geen certificaat kan installeren. Kopieer de link, en open hem in de browser.',
    safariButton: 'In Safari openen',
    copyLink: 'Link kopiëren',
    copied: 'Gekopieerd',
    claimedTitle: 'Certificaat van ‘{device}’ installeren',
    inNow: 'Deze browser heeft nu toegang. Installeer het certificaat, zodat dat zo blijft.',
    notInNow: 'Dit apparaat heeft toegang zodra zijn certificaat is geïnstalleerd.',
    refusedCertificate:
      'Deze browser toont een ander certificaat, dat hier wordt geweigerd. Verwijder het van dit apparaat, en sluit de browser helemaal.',
    password: 'Wachtwoord van het certificaat',
    showPassword: 'Wachtwoord tonen',
    copyPassword: 'Wachtwoord kopiëren',
    keepHint:
      'Wachtwoord en bestanden staan hier een uur lang, of tot u naar Home Assistant verdergaat.',
    downloadProfile: 'Profiel downloaden',
    downloadCertificate: 'Certificaat downloaden',
    saveFile: 'Bestand bewaren',
    modernCertificate: 'Hetzelfde, met AES versleuteld: voor Windows, Linux en systemen vanaf 2025',
    openApp: 'In de app van Home Assistant openen',
    open: 'Home Assistant openen',
    otherDevices: 'Andere apparaten',
    guides: {
      iphone: {
        title: 'iPhone en iPad, in Safari',
        steps: [
          'Tik op ‘Profiel downloaden’, dan op ‘Sta toe’ en ‘Sluit’.',
          'Open binnen 8 minuten Instellingen en tik bovenaan op ‘Profiel gedownload’.',
          'Tik op ‘Installeer’, voer de toegangscode van deze iPhone in, en tik op ‘Installeer’ en ‘Gereed’. ‘Niet ondertekend’ hoort zo.',
          'Kom hier terug en tik op ‘Home Assistant openen’. Vraagt Safari om een certificaat, kies dan ‘{device}’.',
        ],
      },
      iphoneApp: {
        title: 'iPhone en iPad, app van Home Assistant (2026.4 of nieuwer)',
        steps: [
          'Tik op ‘Bestand bewaren’.',
          'Tik op ‘Wachtwoord kopiëren’.',
          'Tik op ‘In de app van Home Assistant openen’, en ga akkoord.',
          'Tik op ‘Select Certificate File’, kies het bestand in Downloads, plak het wachtwoord, en tik op ‘Import’.',
          'Meld u aan. Verwijder daarna het bestand.',
        ],
      },
      android: {
        title: 'Android, in Chrome en in de app van Home Assistant',
        steps: [
          'Tik op ‘Wachtwoord kopiëren’.',
          'Tik op ‘Certificaat downloaden’. De installatie begint; zo niet, tik op het gedownloade bestand.',
          'Plak het wachtwoord, en tik op ‘OK’.',
          'Laat ‘Gebruikerscertificaat voor VPN en apps’ staan, tik op ‘OK’, houd de naam, en tik op ‘OK’.',
          'Tik op ‘Home Assistant openen’, kies het certificaat en tik op ‘Selecteren’. Verwijder daarna het gedownloade bestand.',
          'Voor de app van Home Assistant: eerst dit alles, dan ‘In de app van Home Assistant openen’.',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Klik op ‘Profiel downloaden’, en open het.',
          'Dubbelklik in Systeeminstellingen, Algemeen, Apparaatbeheer op het profiel, en klik op ‘Installeer’.',
          'Klik op ‘Home Assistant openen’ en kies het certificaat; voer desgevraagd het wachtwoord van deze Mac in en klik op ‘Sta altijd toe’.',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Klik op ‘Wachtwoord kopiëren’ en ‘Certificaat downloaden’, en open het bestand.',
          'Laat ‘Huidige gebruiker’ staan, en klik twee keer op ‘Volgende’.',
          'Plak het wachtwoord, en klik op ‘Volgende’.',
          'Laat ‘Automatisch het certificaatarchief selecteren’ staan, klik op ‘Volgende’ en ‘Voltooien’.',
          'Sluit alle vensters van de browser, open hem weer, en ga naar {site}. Firefox: zoals onder Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Klik op ‘Wachtwoord kopiëren’ en ‘Certificaat downloaden’.',
          'Chromium: Instellingen, Privacy en beveiliging, Beveiliging, Certificaten beheren, Uw certificaten, Importeren.',
          'Firefox: Instellingen, Privacy & Beveiliging, Certificaten bekijken, Uw certificaten, Importeren.',
          'Kies het bestand, plak het wachtwoord, en ga naar {site}.',
          'Sluit na pk12util Chromium helemaal en open het weer.',
        ],
      },
    },
    troubleTitle: 'Als er iets in de weg staat',
    trouble: [
      'De telefoon van een kind onder Family Link, een iPhone die een werkgever of school beheert, en de Isolatiemodus installeren geen certificaat. Deze browser heeft toch toegang, tot zijn sessie eindigt.',
      'Installeer met een werkprofiel het certificaat in het profiel waarin de browser of de app zit.',
      'Tik in de codescanner van iOS eerst op het kompas: dat opent Safari.',
      'Controleer datum en tijd van dit apparaat als een certificaat ongeldig wordt genoemd.',
    ],
    problems: {
      unknown: {
        title: 'Deze uitnodiging is niet bekend',
        lead: 'Op dit adres is er geen uitnodiging met deze code.',
        steps: ['Controleer de code, of open de link opnieuw.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'Deze uitnodiging is al gebruikt',
        lead: 'Er is een apparaat mee ingesteld: {time}.',
        steps: [
          `Was u dat, op dit apparaat? Dan is het certificaat misschien al geïnstalleerd. Zo niet: ${ASK_FOR_INVITATION}`,
          'Was het iemand anders? Zeg het meteen tegen degene die u heeft uitgenodigd: dat apparaat moet worden geblokkeerd.',
        ],
      },
      ended: {
        title: 'Deze uitnodiging geldt niet meer',
        lead: 'Haar tijd is voorbij, of ze is ingetrokken.',
        steps: [
          ASK_FOR_INVITATION,
          'Is ze net pas gemaakt? Dan loopt de klok van de server misschien verkeerd.',
        ],
      },
      malformed: {
        title: 'Dit is geen code',
        lead: 'Een code heeft 20 letters en cijfers, zonder 0, 1, l en o.',
        steps: ['Controleer of er tekens ontbreken.'],
      },
      'rate-limited': {
        title: 'Te veel pogingen',
        lead: 'Uit uw netwerk kwamen te veel verkeerde codes.',
        steps: ['Wacht een minuut, en probeer het opnieuw.'],
      },
      'read-only': {
        title: 'Deze server kan nu geen certificaten uitgeven',
        lead: 'Hij mag niet in zijn gegevensmap schrijven. De uitnodiging blijft geldig.',
        steps: ['Zeg het tegen de beheerder van deze server, en probeer het later opnieuw.'],
      },
    },
  },
}
