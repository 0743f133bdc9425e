/** A worker reports each second. One that is silent for so long keeps connections from an answer. */
const SILENT_SECONDS = 15
/** Until its first word it keeps nobody from anything, and a slow machine loads its modules for long. */
const STARTING_SECONDS = 60

export interface Silence {
  /** It has said something. */
  hear(): void
  close(): void
}

/**
 * Tells once, after how many seconds, when a worker has said nothing for too long. Counts seconds one
 * by one, so that a pause of this process is no silence of the worker.
 */
export function watchSilence(onTooLong: (seconds: number) => void): Silence {
  let allowedSeconds = STARTING_SECONDS
  let silentSeconds = 0
  const timer = setInterval(() => {
    silentSeconds += 1
    if (silentSeconds === allowedSeconds + 1) onTooLong(allowedSeconds)
  }, 1_000)
  timer.unref()
  return {
    hear: () => {
      silentSeconds = 0
      allowedSeconds = SILENT_SECONDS
    },
    close: () => clearInterval(timer),
  }
}
