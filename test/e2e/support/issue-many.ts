/** A process that issues: `node issue-many.js <data directory> <folder> <prefix> <count>` */
import { addDevice } from '../../../src/administration/add-device.ts'

const [, , dataDir = '', folder = '', prefix = '', count = '0'] = process.argv

for (let number = 0; number < Number(count); number += 1) {
  await addDevice(
    { dataDir, who: 'device add', nowSeconds: Math.floor(Date.now() / 1000) },
    { name: `${prefix} ${number}`, owner: undefined },
    {
      days: 397,
      key: 'p256',
      format: 'p12',
      form: 'compat',
      publicKeyInfo: undefined,
      folder,
    },
  )
}
