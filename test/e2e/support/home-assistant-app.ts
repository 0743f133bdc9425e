import type { HeaderLine } from './backend.ts'

/** What Home Assistant's phone apps register with; the answer has the id of their webhook. */
export const registration = (bearer: HeaderLine) =>
  ({
    method: 'POST',
    path: '/api/mobile_app/registrations',
    headers: [bearer, ['Content-Type', 'application/json']],
    body: Buffer.from(
      JSON.stringify({
        device_id: 'f3c1b0',
        app_id: 'org.example.companion',
        app_name: 'Companion',
        app_version: '1.0',
        device_name: "Ada's phone",
        manufacturer: 'Example',
        model: 'One',
        os_name: 'Example OS',
        os_version: '1',
        supports_encryption: false,
      }),
    ),
  }) as const
