import { TRAEFIK } from './support/proxies.ts'
import { testProxy } from './support/run.ts'

testProxy(TRAEFIK, [])
