import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram } from '../e2e/support/tools.ts'

/**
 * Where a proxy listens, where it sends auth requests (`undefined`: nowhere), and what it protects.
 */
export interface Places {
  readonly folder: string
  readonly port: number
  readonly asks: { readonly port: number; readonly path: string } | undefined
  readonly application: number
}

export interface Front {
  readonly name: 'caddy' | 'traefik' | 'nginx'
  /** Writes its configuration; gives the command that runs it, as one process. */
  prepare(places: Places): Promise<readonly string[]>
}

// As in deploy/, without what does not touch the path of an allowed request. No TLS: its cost would
// be the same for all, and hide the difference that is looked for.

const caddyfile = ({ port, asks, application }: Places): string => `{
	admin off
	auto_https off
	persist_config off
}
http://:${port} {
	bind 127.0.0.1
	route {
${
  asks === undefined
    ? ''
    : `		reverse_proxy 127.0.0.1:${asks.port} {
			method GET
			rewrite ${asks.path}?
			header_up X-Forwarded-Proto https
			header_up X-Forwarded-Method {method}
			header_up X-Forwarded-Uri {uri}
			header_up -Connection
			header_up -Upgrade
			@allowed status 2xx
			handle_response @allowed {
				vars user {rp.header.Remote-User}
				copy_response_headers {
					include Set-Cookie
				}
			}
		}
`
}		reverse_proxy 127.0.0.1:${application} {
			header_up Cookie "(^|;)[ \\t]*__Host-certlatch=[^;]*" ""
			header_up Remote-User {vars.user}
		}
	}
}
`

const traefikStatic = ({ folder, port }: Places) => ({
  global: { checkNewVersion: false },
  log: { level: 'FATAL' },
  entryPoints: { web: { address: `127.0.0.1:${port}` } },
  providers: { file: { filename: join(folder, 'dynamic.json'), watch: false } },
})

const traefikDynamic = ({ asks, application }: Places) => ({
  http: {
    ...(asks !== undefined && {
      middlewares: {
        'from-client': {
          headers: {
            customRequestHeaders: {
              'X-Forwarded-Proto': 'https',
              'X-Forwarded-Method': '',
              'X-Forwarded-Uri': '',
              'Remote-User': '',
            },
          },
        },
        gate: {
          forwardAuth: {
            address: `http://127.0.0.1:${asks.port}${asks.path}`,
            trustForwardHeader: true,
            authResponseHeaders: ['Remote-User', 'Cookie'],
            addAuthCookiesToResponse: ['__Host-certlatch'],
            maxResponseBodySize: 65_536,
          },
        },
      },
    }),
    routers: {
      application: {
        rule: 'PathPrefix(`/`)',
        entryPoints: ['web'],
        service: 'application',
        ...(asks !== undefined && { middlewares: ['from-client', 'gate'] }),
      },
    },
    services: {
      application: { loadBalancer: { servers: [{ url: `http://127.0.0.1:${application}` }] } },
    },
  },
})

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

const nginxConfiguration = ({ folder, port, asks, application }: Places): string => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  keepalive_requests 100000000;
  upstream application { server 127.0.0.1:${application}; keepalive 64; keepalive_requests 100000000; }
  ${asks === undefined ? '' : `upstream gate { server 127.0.0.1:${asks.port}; keepalive 64; keepalive_requests 100000000; }`}
  server {
    listen 127.0.0.1:${port};
    location / {
      ${asks === undefined ? '' : 'auth_request /_gate; auth_request_set $rest $upstream_http_cookie; auth_request_set $user $upstream_http_remote_user; proxy_set_header Cookie $rest; proxy_set_header Remote-User $user;'}
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
    location = /_gate {
      internal;
      proxy_pass http://${asks === undefined ? 'application' : `gate${asks.path}`};
      proxy_http_version 1.1;
      proxy_method HEAD;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_set_header X-Forwarded-Method $request_method;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Uri $request_uri;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
}

export const FRONTS: readonly Front[] = [
  {
    name: 'caddy',
    prepare: async (places) => {
      await write(places.folder, { Caddyfile: caddyfile(places) })
      return [findProgram('caddy'), 'run', '--config', join(places.folder, 'Caddyfile')]
    },
  },
  {
    name: 'traefik',
    prepare: async (places) => {
      await write(places.folder, {
        'traefik.yml': JSON.stringify(traefikStatic(places)),
        'dynamic.json': JSON.stringify(traefikDynamic(places)),
      })
      return [findProgram('traefik'), `--configFile=${places.folder}/traefik.yml`]
    },
  },
  {
    name: 'nginx',
    prepare: async (places) => {
      await write(places.folder, { 'nginx.conf': nginxConfiguration(places) })
      const file = join(places.folder, 'nginx.conf')
      return [findProgram('nginx'), '-p', places.folder, '-e', 'stderr', '-c', file]
    },
  },
]
