# The service and its commands on Node 26; the same lines build it for amd64 and arm64.

FROM node:26-trixie-slim AS build
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json ./
COPY src src
RUN npx tsc --sourceMap false \
  && chmod 0755 dist/src/cli/main.js

FROM node:26-trixie-slim AS dependencies
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=dev

FROM node:26-trixie-slim
# A fixed id, so that a folder mounted in place of a volume can belong to it. /data/public is all that a
# proxy may see. New named volumes take owner and mode from these two folders.
RUN groupadd --gid 10001 certlatch \
  && useradd --uid 10001 --gid certlatch --no-create-home --home-dir /data --shell /usr/sbin/nologin certlatch \
  && install -d -o certlatch -g certlatch -m 0755 /data /data/public \
  && install -d -o certlatch -g certlatch -m 0700 /data/private \
  && ln -s /app/dist/src/cli/main.js /usr/local/bin/certlatch
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
# In a container the proxy is never on the loopback interface. Which proxy is believed is still up to
# CERTLATCH_TRUSTED_PROXIES, which has to be set.
# `container` tells commands, as it tells systemd's, that a file has to be fetched from here.
# A small young generation and one arena of malloc: as fast here, and less memory under load.
ENV NODE_ENV=production \
  NODE_OPTIONS=--max-semi-space-size=2 \
  MALLOC_ARENA_MAX=1 \
  CERTLATCH_DATA_DIR=/data \
  CERTLATCH_LISTEN=0.0.0.0:9180 \
  CERTLATCH_PAGES_LISTEN=0.0.0.0:9182 \
  container=docker
USER certlatch
EXPOSE 9180 9182
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["certlatch", "healthcheck"]
# Without a shell in between, so that Node itself gets the signal and shuts down cleanly.
ENTRYPOINT ["certlatch"]
CMD ["serve"]
