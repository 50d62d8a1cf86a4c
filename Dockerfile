# What is installed, and what builds the wheel, is what is locked, by its hashes.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/claimscrub \
 && /opt/claimscrub/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY rules rules
COPY worker worker
RUN /opt/build/bin/hatchling build -t wheel -d dist \
 && /opt/claimscrub/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

# Nothing in it is its user's: it may run with a read-only file system, the data directory a volume and /tmp in memory.
FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/claimscrub claimscrub
COPY --from=build /opt/claimscrub /opt/claimscrub
ENV PATH=/opt/claimscrub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CLAIMSCRUB_DATA_DIRECTORY=/var/lib/claimscrub
USER claimscrub
WORKDIR /var/lib/claimscrub
# The worker touches this file while its event loop turns.
HEALTHCHECK --interval=10s --start-period=60s CMD ["sh", "-c", "test -n \"$(find alive -mmin -0.5)\""]
ENTRYPOINT ["claimscrub"]
CMD ["worker"]
