import { setFlagsFromString } from 'node:v8'

/** How far the old generation may grow beyond the live objects before V8 collects it, in percent. */
const HEAP_GROWING_PERCENT = 30

/**
 * V8 lets the garbage in a small heap grow to several times the live objects, and always by at least
 * 8 MB; when it optimizes for size, by 2 MB (`npm run bench -- --soak` shows the memory). It then shrinks
 * the young generation as well, which is slower: --min-semi-space-size, in the image's ENTRYPOINT, prevents
 * that. Node accepts neither flag in NODE_OPTIONS, so the process sets them at startup.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString('--optimize-for-size')
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
}
