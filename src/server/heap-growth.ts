import { setFlagsFromString } from 'node:v8'

/** Percent of what is alive that may come on top as garbage before V8 collects the old generation. */
const HEAP_GROWING_PERCENT = 30

/**
 * V8 lets the garbage of a small heap grow to several times what is alive: 160 MB under load where 85
 * do, at the same speed for what is known already (`npm run bench -- --soak`). Node takes this flag
 * neither from NODE_OPTIONS nor as a setting, so the process sets it for itself, before its work.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
}
