import type { Texts } from './en.ts'

const CHOSEN_BEFORE =
  'Als u hebt geannuleerd toen de browser om een certificaat vroeg, of het verkeerde hebt gekozen, onthoudt hij dat totdat u hem afsluit. Sluit al zijn vensters (op een telefoon: veeg hem weg) en open hem daarna weer.'
const ASK_FOR_ONE =
  'Vraag de beheerder van deze server om een nieuw certificaat en installeer het op dit apparaat.'
const INSTALLED_SINCE =
  'Als u al een nieuw certificaat hebt geïnstalleerd, sluit de browser dan helemaal af en open hem weer, zodat hij vraagt welk certificaat hij moet tonen.'
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
        'Als u meerdere certificaten hebt en het verkeerde hebt gekozen, onthoudt de browser dat totdat u hem afsluit. Sluit al zijn vensters (op een telefoon: veeg hem weg) en open hem daarna weer.',
        'Als dit het certificaat is dat u voor deze server hebt gekregen, vraag de beheerder dan om een nieuw certificaat.',
      ],
    },
    'expired-certificate': {
      title: 'Het certificaat van dit apparaat is verlopen',
      lead: 'Het clientcertificaat dat uw browser heeft getoond, is verlopen.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'Het certificaat van dit apparaat is ingetrokken',
      lead: 'Het clientcertificaat van dit apparaat wordt niet meer geaccepteerd.',
      steps: [`Moet dit apparaat toegang hebben? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'Dit certificaat is vervangen door een nieuwer exemplaar',
      lead: 'Dit apparaat heeft een nieuwer clientcertificaat gekregen, en uw browser heeft het oude getoond.',
      steps: [
        'Is het nieuwe op dit apparaat geïnstalleerd? Zo niet, installeer het of vraag de beheerder van deze server erom.',
        'Verwijder het oude, sluit de browser helemaal af en open hem weer, zodat hij het nieuwe toont.',
      ],
    },
    'session-over': {
      title: 'De sessie van dit apparaat is verlopen',
      lead: 'Uw browser moet het clientcertificaat opnieuw tonen en heeft dat deze keer niet gedaan.',
      steps: [
        'Probeer het opnieuw: de meeste browsers tonen het als de pagina opnieuw wordt geladen.',
        CHOSEN_BEFORE,
      ],
    },
    'another-site': {
      title: 'Een andere site wilde hier iets wijzigen',
      lead: 'Een andere site liet uw browser iets naar deze server sturen, met uw clientcertificaat. Er is niets gewijzigd.',
      steps: ['Als dat uw bedoeling was, begin dan op de startpagina van deze server.'],
    },
    closed: {
      title: 'Deze pagina is afgeschermd',
      lead: 'Dit apparaat mag deze pagina niet openen. Misschien is er een clientcertificaat voor nodig, of een ander certificaat. Andere pagina’s van deze server werken mogelijk wel.',
      steps: ['Neem contact op met de beheerder van deze server als u deze pagina nodig hebt.'],
    },
    'closed-to-this': {
      title: 'Deze pagina is afgeschermd',
      lead: 'Deze pagina is alleen voor bepaalde apparaten. Uw browser heeft geen clientcertificaat getoond, of dat van een ander apparaat.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'Dit verzoek kon niet worden gelezen',
      lead: 'Wat deze server heeft ontvangen, is niet precies wat een browser stuurt. Daarom zijn clientcertificaat en sessie niet gecontroleerd.',
      steps: [
        'Typ het adres opnieuw of open een recente link.',
        'Blijft dit gebeuren? Misschien verandert een browserextensie of een ander programma onderweg wat er wordt verstuurd. Probeer een andere browser.',
      ],
    },
    'at-the-server': {
      title: 'Deze server kan uw apparaat nu niet controleren',
      lead: 'Er moet iets op de server worden verholpen. Met uw apparaat en zijn clientcertificaat is misschien niets mis.',
      steps: ['De beheerder van deze server kan de oorzaak in het logboek vinden.'],
    },
  },
  expiredOn: 'Het was geldig tot {day}.',
  tryAgain: 'Opnieuw proberen',
  startPage: 'Naar de startpagina',
  latecomer: {
    title: 'Een ogenblik',
    lead: 'Dit apparaat en zijn clientcertificaat hebben nu toegang. Verschijnt de pagina niet, laad deze dan opnieuw.',
  },
  haveYouBeenInvited: 'Bent u uitgenodigd?',
  reset: {
    title: 'Deze site wordt opnieuw geladen',
    lead: 'Deze pagina verwijdert de serviceworker van de site, die opgeslagen pagina’s toont, en laadt de startpagina van de server. U blijft aangemeld.',
    withoutScript:
      'Hiervoor is JavaScript nodig. Verwijder anders de gegevens van deze site in de instellingen van de browser; daardoor wordt u afgemeld.',
  },
  enroll: {
    title: 'Dit apparaat instellen',
    askForCode: 'Typ de code van uw uitnodiging of open de link op dit apparaat.',
    code: 'Code',
    codeHint: '20 letters en cijfers; hoofdletters of kleine letters, met of zonder koppeltekens',
    continue: 'Verder',
    looking: 'Een ogenblik: de uitnodiging wordt opgezocht.',
    offline: 'De server was niet bereikbaar. Is dit apparaat online?',
    again: 'Opnieuw proberen',
    invitedTitle: '‘{device}’ instellen',
    invited: 'U bent uitgenodigd om {site} op dit apparaat te gebruiken. Het heet daar ‘{device}’.',
    owner: 'Eigenaar',
    until: 'Uitnodiging geldig tot',
    claim: 'Dit apparaat instellen',
    claimHint: 'Alleen op het apparaat dat ingesteld moet worden: de uitnodiging werkt één keer.',
    already:
      'Deze browser heeft al toegang, als ‘{device}’. Ga alleen verder om hem opnieuw in te stellen.',
    openInSafari:
      'Dit kan alleen in Safari: andere apps kunnen op een iPhone of iPad geen certificaat installeren.',
    openInBrowser:
      'Deze pagina is in een andere app geopend, die geen certificaat kan installeren. Kopieer de link en open hem in de browser.',
    safariButton: 'In Safari openen',
    copyLink: 'Link kopiëren',
    copied: 'Gekopieerd',
    claimedTitle: 'Certificaat van ‘{device}’ installeren',
    inNow: 'Deze browser heeft nu toegang. Installeer het certificaat, zodat dat zo blijft.',
    notInNow: 'Dit apparaat heeft toegang zodra zijn certificaat is geïnstalleerd.',
    refusedCertificate:
      'Deze browser toont een ander certificaat, dat hier wordt geweigerd. Verwijder dat van dit apparaat en sluit de browser helemaal af.',
    password: 'Wachtwoord van het certificaat',
    showPassword: 'Wachtwoord tonen',
    copyPassword: 'Wachtwoord kopiëren',
    keepHint:
      'Het wachtwoord en de bestanden blijven hier een uur staan, of totdat u naar Home Assistant doorgaat.',
    downloadProfile: 'Profiel downloaden',
    downloadCertificate: 'Certificaat downloaden',
    saveFile: 'Bestand bewaren',
    modernCertificate: 'Hetzelfde, met AES versleuteld: voor Windows, Linux en systemen vanaf 2025',
    openApp: 'In de Home Assistant-app openen',
    open: 'Home Assistant openen',
    otherDevices: 'Andere apparaten',
    guides: {
      iphone: {
        title: 'iPhone en iPad, in Safari',
        steps: [
          'Tik op ‘Profiel downloaden’, dan op ‘Sta toe’ en ‘Sluit’.',
          'Open binnen 8 minuten Instellingen en tik bovenaan op ‘Profiel gedownload’.',
          'Tik op ‘Installeer’, voer de toegangscode van deze iPhone in en tik op ‘Installeer’ en ‘Gereed’. ‘Niet ondertekend’ hoort zo.',
          'Kom hier terug en tik op ‘Home Assistant openen’. Vraagt Safari om een certificaat, kies dan ‘{device}’.',
        ],
      },
      iphoneApp: {
        title: 'iPhone en iPad, Home Assistant-app (2026.4 of nieuwer)',
        steps: [
          'Tik op ‘Bestand bewaren’.',
          'Tik op ‘Wachtwoord kopiëren’.',
          'Tik op ‘In de Home Assistant-app openen’ en ga akkoord.',
          'Tik op ‘Select Certificate File’, kies het bestand in Downloads, plak het wachtwoord en tik op ‘Import’.',
          'Meld u aan. Verwijder daarna het bestand.',
        ],
      },
      android: {
        title: 'Android, in Chrome en in de Home Assistant-app',
        steps: [
          'Tik op ‘Wachtwoord kopiëren’.',
          'Tik op ‘Certificaat downloaden’. De installatie begint; zo niet, tik op het gedownloade bestand.',
          'Plak het wachtwoord en tik op ‘OK’.',
          'Laat ‘Gebruikerscertificaat voor VPN en apps’ staan, tik op ‘OK’, laat de naam staan en tik op ‘OK’.',
          'Tik op ‘Home Assistant openen’, kies het certificaat en tik op ‘Selecteren’. Verwijder daarna het gedownloade bestand.',
          'Voor de Home Assistant-app: eerst dit alles, dan ‘In de Home Assistant-app openen’.',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Klik op ‘Profiel downloaden’ en open het.',
          'Dubbelklik in Systeeminstellingen, Algemeen, Apparaatbeheer op het profiel en klik op ‘Installeer’.',
          'Klik op ‘Home Assistant openen’ en kies het certificaat; voer desgevraagd het wachtwoord van deze Mac in en klik op ‘Sta altijd toe’.',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Klik op ‘Wachtwoord kopiëren’ en ‘Certificaat downloaden’ en open daarna het bestand.',
          'Laat ‘Huidige gebruiker’ staan en klik twee keer op ‘Volgende’.',
          'Plak het wachtwoord en klik op ‘Volgende’.',
          'Laat ‘Automatisch het certificaatarchief selecteren’ staan, klik op ‘Volgende’ en ‘Voltooien’.',
          'Sluit alle vensters van de browser, open hem weer en ga naar {site}. Firefox: zoals onder Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Klik op ‘Wachtwoord kopiëren’ en ‘Certificaat downloaden’.',
          'Chromium: Instellingen, Privacy en beveiliging, Beveiliging, Certificaten beheren, Uw certificaten, Importeren.',
          'Firefox: Instellingen, Privacy & Beveiliging, Certificaten bekijken, Uw certificaten, Importeren.',
          'Kies het bestand en plak het wachtwoord.',
          'Start de browser na het importeren opnieuw en ga naar {site}.',
        ],
      },
    },
    troubleTitle: 'Als er iets misgaat',
    trouble: [
      'Op de telefoon van een kind met Family Link, op een iPhone die door een werkgever of school wordt beheerd en in de Isolatiemodus kan geen certificaat worden geïnstalleerd. Deze browser heeft toch toegang, totdat zijn sessie eindigt.',
      'Als de telefoon een werkprofiel heeft, installeer het certificaat dan in het profiel waarin u de browser of de app gebruikt.',
      'Tik in de codescanner van iOS eerst op het kompas: dat opent Safari.',
      'Controleer de datum en tijd van dit apparaat als u de melding krijgt dat een certificaat ongeldig is.',
    ],
    problems: {
      unknown: {
        title: 'Deze uitnodiging is niet bekend',
        lead: 'Op dit adres is er geen uitnodiging met deze code.',
        steps: ['Controleer de code of open de link opnieuw.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'Deze uitnodiging is al gebruikt',
        lead: 'Er is een apparaat mee ingesteld: {time}.',
        steps: [
          `Was u dat, op dit apparaat? Dan is het certificaat misschien al geïnstalleerd. Zo niet: ${ASK_FOR_INVITATION}`,
          'Was het iemand anders? Laat het meteen weten aan degene die u heeft uitgenodigd: dat apparaat moet worden geblokkeerd.',
        ],
      },
      ended: {
        title: 'Deze uitnodiging geldt niet meer',
        lead: 'De uitnodiging is verlopen of ingetrokken.',
        steps: [
          ASK_FOR_INVITATION,
          'Is de uitnodiging net pas gemaakt? Dan staat de klok van de server misschien verkeerd.',
        ],
      },
      malformed: {
        title: 'Dit is geen code',
        lead: 'Een code bestaat uit 20 letters en cijfers, zonder 0, 1, l en o.',
        steps: ['Controleer of er tekens ontbreken.'],
      },
      'rate-limited': {
        title: 'Te veel pogingen',
        lead: 'Vanaf uw netwerk zijn te veel verkeerde codes ingevoerd.',
        steps: ['Wacht een minuut en probeer het opnieuw.'],
      },
      'read-only': {
        title: 'Deze server kan nu geen certificaten uitgeven',
        lead: 'Hij kan niet in zijn gegevensmap schrijven. De uitnodiging blijft geldig.',
        steps: ['Laat het de beheerder van deze server weten en probeer het later opnieuw.'],
      },
    },
  },
}
