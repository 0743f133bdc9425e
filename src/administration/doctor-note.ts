import { MODE } from '../store/files.ts'
import { isTime, parseObject } from '../store/json-file.ts'
import { isProcessGone, machineIdentity } from '../store/lock-owner.ts'
import { type Directory, readTextIfThere } from './locked-directory.ts'

/** `private/doctor.json`: which process has the device of `certlatch doctor`. */
interface Note {
  /** The end of its certificate, Unix seconds. */
  readonly notAfter: number
  readonly pid: number | undefined
  readonly identity: string | undefined
}

/** Written before the certificate is entered, so that a killed command leaves none without a note. */
export async function writeDoctorNote(directory: Directory, notAfter: number): Promise<void> {
  const note: Note = { notAfter, pid: process.pid, identity: await machineIdentity() }
  await directory.replace(directory.paths.doctor, JSON.stringify(note), MODE.secret)
}

/** Leaves the device of `certlatch doctor` without certificates; its entry keeps name and mark. */
export async function endDoctorDevice(
  directory: Directory,
  when: 'now' | 'unless it runs',
): Promise<void> {
  const { paths, nowSeconds } = directory
  const text = await readTextIfThere(paths.doctor)
  if (text === undefined) return
  if (when === 'unless it runs' && (await mayRun(readNote(text), nowSeconds))) return
  const { devices } = await directory.readDevices()
  const entry = devices.find(({ doctor }) => doctor)
  if (entry !== undefined && entry.certificates.length > 0) {
    await directory.writeDevice({ ...entry, certificates: [] })
  }
  await directory.remove(paths.doctor)
}

/** A process on another machine cannot be looked at; its certificate ends by itself. */
async function mayRun(note: Note | undefined, nowSeconds: number): Promise<boolean> {
  if (note === undefined || nowSeconds > note.notAfter) return false
  return !isProcessGone(note, await machineIdentity())
}

function readNote(text: string): Note | undefined {
  const { notAfter, pid, identity } = parseObject(text) ?? {}
  if (!isTime(notAfter)) return undefined
  return {
    notAfter,
    pid: isTime(pid) ? pid : undefined,
    identity: typeof identity === 'string' ? identity : undefined,
  }
}
