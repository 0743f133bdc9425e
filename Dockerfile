# The service and its commands on Node 26; the same lines build it for amd64 and arm64.

FROM node:26-trixie-slim AS build
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json ./
COPY src src
RUN npm run build -- --sourceMap false \
  && chmod 0755 dist/src/cli/main.js
# A fixed id, so that a folder mounted in place of a volume can belong to it. /data/public is all that a
# proxy may see. New named volumes take owner and mode from these two folders.
RUN groupadd --gid 10001 certlatch \
  && useradd --uid 10001 --gid certlatch --no-create-home --home-dir /data --shell /usr/sbin/nologin certlatch \
  && install -d -m 0755 /data /data/public \
  && install -d -m 0700 /data/private \
  && install -d -m 0755 /bin-of-image \
  && ln -s /app/dist/src/cli/main.js /bin-of-image/certlatch

FROM node:26-trixie-slim AS dependencies
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=dev

# All that the image adds to its base. Nothing in it depends on the processor, so a release makes it once
# and gives it to the last stage of each platform (.github/workflows/release.yml).
FROM scratch AS files
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /data /data
COPY --from=build /bin-of-image /bin
COPY --from=build /app/package.json /app/
COPY --from=build /app/dist /app/dist
COPY --from=dependencies /app/node_modules /app/node_modules

# No RUN here: on another platform it would need an emulator.
FROM node:26-trixie-slim
COPY --from=files /etc/passwd /etc/group /etc/
COPY --from=files --chown=10001:10001 /data /data
COPY --from=files /bin /usr/local/bin
COPY --from=files /app /app
WORKDIR /app
# In a container the proxy is never on the loopback interface. CERTLATCH_TRUSTED_PROXIES still decides which
# proxy is trusted, and has to be set.
# The variable `container` (systemd's convention) tells commands that they run in a container, so that they
# print how to copy a package out.
# V8's compilers work in pieces of up to 32 KB. From that size on, malloc gives memory back to the system as
# soon as it is freed.
ENV NODE_ENV=production \
  MALLOC_MMAP_THRESHOLD_=32768 \
  CERTLATCH_DATA_DIR=/data \
  CERTLATCH_LISTEN=0.0.0.0:9180 \
  CERTLATCH_PAGES_LISTEN=0.0.0.0:9182 \
  container=docker
USER certlatch
EXPOSE 9180 9182
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["certlatch", "healthcheck"]
# Without a shell in between, so that Node itself gets the signal and shuts down cleanly. The options are for
# less memory: no Maglev (V8's mid-tier compiler), which costs some speed while the process warms up, and a
# small young generation, which src/server/heap-growth.ts needs. NODE_OPTIONS does not accept all of them.
ENTRYPOINT ["node", "--no-maglev", "--min-semi-space-size=2", "--max-semi-space-size=2", "/usr/local/bin/certlatch"]
CMD ["serve"]
