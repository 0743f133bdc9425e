import type { Texts } from './en.ts'

const CHOSEN_BEFORE =
  'Si vous avez annulé quand le navigateur a demandé un certificat, ou choisi le mauvais, il s’en souvient jusqu’à ce que vous le fermiez. Fermez toutes ses fenêtres (sur un téléphone, balayez-le), puis rouvrez-le.'
const ASK_FOR_ONE =
  'Demandez-en un nouveau à la personne qui gère ce serveur et installez-le sur cet appareil.'
const INSTALLED_SINCE =
  'Si vous en avez déjà installé un nouveau, fermez entièrement le navigateur et rouvrez-le, pour qu’il demande lequel présenter.'
const IS_IT_INSTALLED =
  'Est-il installé sur cet appareil ? Sinon, demandez-en un à la personne qui gère ce serveur.'
const ASK_FOR_INVITATION = 'Demandez une nouvelle invitation.'

/** Spaces inside « » and before : ; ? and ! are no-break spaces. */
export const fr: Texts = {
  refusals: {
    'no-certificate': {
      title: 'Aucun certificat n’a été présenté',
      lead: 'Votre navigateur n’a pas présenté le certificat client qui permet à ce serveur de reconnaître ses appareils.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'unsuitable-certificate': {
      title: 'Ce certificat n’est pas accepté ici',
      lead: 'Votre navigateur a présenté un certificat client qui n’est celui d’aucun appareil de ce serveur.',
      steps: [
        'Si vous avez plusieurs certificats et avez choisi le mauvais, le navigateur s’en souvient jusqu’à ce que vous le fermiez. Fermez toutes ses fenêtres (sur un téléphone, balayez-le), puis rouvrez-le.',
        'Si c’est bien celui que vous avez reçu pour ce serveur, demandez-en un nouveau à la personne qui le gère.',
      ],
    },
    'expired-certificate': {
      title: 'Le certificat de cet appareil a expiré',
      lead: 'Le certificat client que votre navigateur a présenté a expiré.',
      steps: [ASK_FOR_ONE, INSTALLED_SINCE],
    },
    'withdrawn-certificate': {
      title: 'Le certificat de cet appareil a été révoqué',
      lead: 'Le certificat client de cet appareil n’est plus accepté.',
      steps: [`Cet appareil doit-il avoir accès ? ${ASK_FOR_ONE}`, INSTALLED_SINCE],
    },
    'replaced-certificate': {
      title: 'Ce certificat a été remplacé par un plus récent',
      lead: 'Cet appareil a reçu un certificat client plus récent, et votre navigateur a présenté l’ancien.',
      steps: [
        'Le nouveau est-il installé sur cet appareil ? Sinon, installez-le ou demandez-le à la personne qui gère ce serveur.',
        'Supprimez l’ancien, fermez entièrement le navigateur et rouvrez-le, pour qu’il présente le nouveau.',
      ],
    },
    'session-over': {
      title: 'La session de cet appareil est terminée',
      lead: 'Votre navigateur doit présenter de nouveau le certificat client et ne l’a pas fait cette fois.',
      steps: [
        'Réessayez : la plupart des navigateurs le présentent quand la page est rechargée.',
        CHOSEN_BEFORE,
      ],
    },
    'another-site': {
      title: 'Un autre site a voulu modifier quelque chose ici',
      lead: 'Un autre site a poussé votre navigateur à envoyer quelque chose à ce serveur avec votre certificat client. Rien n’a été modifié.',
      steps: ['Si c’était votre intention, passez plutôt par la page d’accueil de ce serveur.'],
    },
    closed: {
      title: 'L’accès à cette page est refusé',
      lead: 'Cet appareil ne peut pas ouvrir cette page. Il lui faut peut-être un certificat client, ou un autre certificat. D’autres pages de ce serveur fonctionnent peut-être quand même.',
      steps: [
        'Si vous avez besoin de cette page, adressez-vous à la personne qui gère ce serveur.',
      ],
    },
    'closed-to-this': {
      title: 'L’accès à cette page est refusé',
      lead: 'Cette page est réservée à certains appareils. Votre navigateur n’a pas présenté de certificat client, ou a présenté celui d’un autre appareil.',
      steps: [IS_IT_INSTALLED, CHOSEN_BEFORE],
    },
    'odd-request': {
      title: 'Cette requête n’a pas pu être lue',
      lead: 'Ce que ce serveur a reçu n’est pas tout à fait ce qu’envoie un navigateur : il n’a donc examiné ni certificat client ni session.',
      steps: [
        'Saisissez de nouveau l’adresse ou ouvrez un lien récent.',
        'Si cela persiste, une extension du navigateur ou un autre programme modifie peut-être ce qui est envoyé. Essayez un autre navigateur.',
      ],
    },
    'at-the-server': {
      title: 'Ce serveur ne peut pas vérifier votre appareil pour le moment',
      lead: 'Un problème est à corriger sur le serveur. Votre appareil et son certificat client ne sont peut-être pas en cause.',
      steps: ['La personne qui gère ce serveur en trouvera la raison dans le journal.'],
    },
  },
  expiredOn: 'Il était valable jusqu’au {day}.',
  tryAgain: 'Réessayer',
  startPage: 'Aller à la page d’accueil',
  latecomer: {
    title: 'Un instant',
    lead: 'Cet appareil et son certificat client ont maintenant accès. Si la page n’apparaît pas, rechargez-la.',
  },
  haveYouBeenInvited: 'Avez-vous une invitation ?',
  reset: {
    title: 'Rechargement de ce site',
    lead: 'Cette page supprime le service worker du site, qui affiche des pages enregistrées, puis charge la page d’accueil depuis le serveur. Votre session reste ouverte.',
    withoutScript:
      'Cette page a besoin de JavaScript. Sans lui, supprimez plutôt les données de ce site dans les réglages du navigateur ; cela vous déconnectera.',
  },
  enroll: {
    title: 'Configurer cet appareil',
    askForCode: 'Saisissez le code de votre invitation ou ouvrez son lien sur cet appareil.',
    code: 'Code',
    codeHint: '20 lettres et chiffres ; majuscules ou minuscules, avec ou sans traits d’union',
    continue: 'Continuer',
    looking: 'Un instant : recherche de l’invitation.',
    offline: 'Le serveur n’a pas répondu. Cet appareil est-il en ligne ?',
    again: 'Réessayer',
    invitedTitle: 'Configurer « {device} »',
    invited:
      'Cette invitation vous permet d’utiliser {site} sur cet appareil. Il y sera connu sous le nom « {device} ».',
    owner: 'Appartient à',
    until: 'Invitation valable jusqu’au',
    claim: 'Configurer cet appareil',
    claimHint: 'Uniquement sur l’appareil à configurer : l’invitation ne sert qu’une fois.',
    already:
      'Ce navigateur a déjà accès, sous le nom « {device} ». Ne continuez que pour le configurer de nouveau.',
    openInSafari:
      'Cela ne fonctionne que dans Safari : les autres apps ne peuvent pas installer de certificat sur un iPhone ou un iPad.',
    openInBrowser:
      'Cette page a été ouverte dans une autre app, qui ne peut pas installer de certificat. Copiez le lien et ouvrez-le dans le navigateur.',
    safariButton: 'Ouvrir dans Safari',
    copyLink: 'Copier le lien',
    copied: 'Copié',
    claimedTitle: 'Installer le certificat de « {device} »',
    inNow: 'Ce navigateur a maintenant accès. Installez le certificat pour que cela dure.',
    notInNow: 'Cet appareil aura accès dès que son certificat sera installé.',
    refusedCertificate:
      'Ce navigateur présente un autre certificat, qui est refusé ici. Supprimez-le de cet appareil et fermez entièrement le navigateur.',
    password: 'Mot de passe du certificat',
    showPassword: 'Afficher le mot de passe',
    copyPassword: 'Copier le mot de passe',
    keepHint:
      'Le mot de passe et les fichiers restent ici pendant une heure, ou jusqu’à ce que vous passiez à Home Assistant.',
    downloadProfile: 'Télécharger le profil',
    downloadCertificate: 'Télécharger le certificat',
    saveFile: 'Enregistrer le fichier',
    modernCertificate:
      'Le même, chiffré en AES : pour Windows, Linux et les systèmes sortis depuis 2025',
    openApp: 'Ouvrir dans l’app Home Assistant',
    open: 'Ouvrir Home Assistant',
    otherDevices: 'Autres appareils',
    guides: {
      iphone: {
        title: 'iPhone et iPad, dans Safari',
        steps: [
          'Touchez « Télécharger le profil », puis « Autoriser » et « Fermer ».',
          'Dans les 8 minutes, ouvrez Réglages et touchez « Profil téléchargé » en haut.',
          'Touchez « Installer », saisissez le code de cet iPhone, puis touchez « Installer » et « OK ». « Non signé » est normal.',
          'Revenez ici et touchez « Ouvrir Home Assistant ». Si Safari demande un certificat, choisissez « {device} ».',
        ],
      },
      iphoneApp: {
        title: 'iPhone et iPad, app Home Assistant (2026.4 ou plus récente)',
        steps: [
          'Touchez « Enregistrer le fichier ».',
          'Touchez « Copier le mot de passe ».',
          'Touchez « Ouvrir dans l’app Home Assistant » et acceptez.',
          'Touchez « Select Certificate File », choisissez le fichier dans Téléchargements, collez le mot de passe et touchez « Import ».',
          'Connectez-vous. Supprimez ensuite le fichier.',
        ],
      },
      android: {
        title: 'Android, dans Chrome et dans l’app Home Assistant',
        steps: [
          'Touchez « Copier le mot de passe ».',
          'Touchez « Télécharger le certificat ». L’installation s’ouvre ; sinon, touchez le fichier téléchargé.',
          'Collez le mot de passe et touchez « OK ».',
          'Laissez « Certificat utilisateur de VPN et d’application », touchez « OK », gardez le nom et touchez « OK ».',
          'Touchez « Ouvrir Home Assistant », choisissez le certificat et touchez « Sélectionner ». Supprimez ensuite le fichier téléchargé.',
          'Pour l’app Home Assistant : d’abord tout cela, puis « Ouvrir dans l’app Home Assistant ».',
        ],
      },
      mac: {
        title: 'Mac',
        steps: [
          'Cliquez sur « Télécharger le profil » et ouvrez-le.',
          'Dans Réglages Système, Général, Gestion de l’appareil, double-cliquez sur le profil et cliquez sur « Installer ».',
          'Cliquez sur « Ouvrir Home Assistant » et choisissez le certificat ; si on vous le demande, saisissez le mot de passe de ce Mac et cliquez sur « Toujours autoriser ».',
        ],
      },
      windows: {
        title: 'Windows',
        steps: [
          'Cliquez sur « Copier le mot de passe » et « Télécharger le certificat », puis ouvrez le fichier.',
          'Gardez « Utilisateur actuel » et cliquez deux fois sur « Suivant ».',
          'Collez le mot de passe et cliquez sur « Suivant ».',
          'Gardez « Sélectionner automatiquement le magasin de certificats », cliquez sur « Suivant » et « Terminer ».',
          'Fermez toutes les fenêtres du navigateur, rouvrez-le et allez sur {site}. Firefox : comme sous Linux.',
        ],
      },
      linux: {
        title: 'Linux',
        steps: [
          'Cliquez sur « Copier le mot de passe » et « Télécharger le certificat ».',
          'Chromium : Paramètres, Confidentialité et sécurité, Sécurité, Gérer les certificats, Vos certificats, Importer.',
          'Firefox : Paramètres, Vie privée et sécurité, Afficher les certificats, Vos certificats, Importer.',
          'Choisissez le fichier et collez le mot de passe.',
          'Redémarrez le navigateur après l’importation et allez sur {site}.',
        ],
      },
    },
    troubleTitle: 'En cas de problème',
    trouble: [
      'Il n’est pas possible d’installer un certificat sur le téléphone d’un enfant sous Family Link, sur un iPhone géré par un employeur ou une école, ni en mode Isolement. Ce navigateur a tout de même accès, jusqu’à la fin de sa session.',
      'Si le téléphone a un profil professionnel, installez le certificat dans le profil où vous utilisez le navigateur ou l’app.',
      'Dans le lecteur de code d’iOS, touchez d’abord la boussole : elle ouvre Safari.',
      'Si un certificat est signalé comme non valable, vérifiez la date et l’heure de cet appareil.',
    ],
    problems: {
      unknown: {
        title: 'Cette invitation est inconnue',
        lead: 'Aucune invitation ne correspond à ce code à cette adresse.',
        steps: ['Vérifiez le code ou rouvrez le lien.', ASK_FOR_INVITATION],
      },
      used: {
        title: 'Cette invitation a déjà servi',
        lead: 'Elle a servi à configurer un appareil : {time}.',
        steps: [
          `Était-ce vous, sur cet appareil ? Le certificat est peut-être déjà installé. Sinon : ${ASK_FOR_INVITATION}`,
          'N’était-ce pas vous ? Prévenez tout de suite la personne qui vous a envoyé l’invitation : cet autre appareil devrait être révoqué.',
        ],
      },
      ended: {
        title: 'Cette invitation n’est plus valable',
        lead: 'Elle a expiré ou a été retirée.',
        steps: [
          ASK_FOR_INVITATION,
          'Si elle vient d’être créée, l’horloge du serveur n’est peut-être pas à l’heure.',
        ],
      },
      malformed: {
        title: 'Ce n’est pas un code',
        lead: 'Un code se compose de 20 lettres et chiffres, sans 0, 1, l ni o.',
        steps: ['Vérifiez qu’il ne manque aucun caractère.'],
      },
      'rate-limited': {
        title: 'Trop de tentatives',
        lead: 'Trop de codes erronés ont été saisis depuis votre réseau.',
        steps: ['Attendez une minute et réessayez.'],
      },
      'read-only': {
        title: 'Ce serveur ne peut pas délivrer de certificats pour le moment',
        lead: 'Il ne peut pas écrire dans son répertoire de données. L’invitation reste valable.',
        steps: ['Prévenez la personne qui gère ce serveur et réessayez plus tard.'],
      },
    },
  },
}
