import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import type { ListenAddress, Values } from '../../config/config.ts'
import type { SeenCertificate } from '../../store/running.ts'
import type { Origin } from '../../store/trust-store.ts'
import type { Tally } from '../metrics.ts'
import type { Readiness } from '../routes/operations.ts'

/** What a worker tells of itself: each second, when its files have changed, and when it is asked. */
export interface WorkerReport {
  /** Since its own start. */
  readonly tally: Tally
  readonly cacheEntries: number
  readonly readiness: Readiness
  readonly blocksNumber: number
  /** Open now, idle ones too. */
  readonly connections: number
  /** Who was let in since the last report. */
  readonly seen: readonly SeenCertificate[]
}

export type ProcessMetrics = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What a worker is to serve with: the very texts that the primary was configured by. */
export interface StartOrder {
  readonly number: number
  readonly values: Values
  /** Who was seen before it was there. */
  readonly seen: readonly SeenCertificate[]
  /**
   * What is in force: files that the others refuse must not be all that this one knows of, and who
   * takes the place of another goes no further back than the others.
   */
  readonly origin: Origin
}

export type ToWorker =
  | { readonly kind: 'start'; readonly order: StartOrder }
  /** Given once the primary counts its report among those that commands wait for. */
  | { readonly kind: 'listen'; readonly address: ListenAddress }
  | { readonly kind: 'seen'; readonly seen: readonly SeenCertificate[] }
  | { readonly kind: 'ask'; readonly question: number }
  /** To end so many connections, each with its next answer. */
  | { readonly kind: 'shed'; readonly connections: number }
  | { readonly kind: 'stop' }

export type FromWorker =
  /** It listens; what is said before that to a process that still loads its modules is lost. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'report'; readonly report: WorkerReport }
  | { readonly kind: 'serving'; readonly address: AddressInfo }
  /** It cannot serve; it ends by itself. */
  | { readonly kind: 'unfit'; readonly problems: readonly string[] }
  | {
      readonly kind: 'answer'
      readonly question: number
      readonly report: WorkerReport
      readonly metrics: ProcessMetrics
    }
