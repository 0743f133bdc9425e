import { HAPROXY } from './support/proxies.ts'
import { testProxy } from './support/run.ts'

testProxy(HAPROXY, [])
