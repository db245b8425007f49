# One image for all commands of drplan: `webhook`, `controller`, `selftest`, `lint`, `version`. `make image` builds it.
# The base image, with its digest: `make image` gives it, from PYTHON_IMAGE=... or from the file that `make base-image`
# writes. There is no default, since a tag is another image tomorrow. Both stages use the same one, as the virtual
# environment points to its Python.
ARG PYTHON_IMAGE

FROM ${PYTHON_IMAGE} AS builder
WORKDIR /src
# What changes seldom comes first, so that a change of the code keeps these layers.
COPY requirements-build.lock requirements-runtime.lock ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements-build.lock
RUN python3 -m venv --without-pip /opt/drplan \
    && /opt/build/bin/pip --python /opt/drplan/bin/python install --no-cache-dir --require-hashes --no-deps \
        --only-binary :all: -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY app app/
COPY controller controller/
COPY drplan drplan/
COPY webhook webhook/
COPY crds crds/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/drplan/bin/python install --no-cache-dir --no-deps --no-index /dist/*.whl
ARG VERSION=unknown
# The label of the image says what `drplan version` says.
RUN test "${VERSION}" = unknown || test "${VERSION}" = "$(/opt/drplan/bin/drplan version --short)"

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="drplan" \
      org.opencontainers.image.description="Disaster-recovery runbooks as Kubernetes objects: admission service and controller" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=builder /opt/drplan /opt/drplan
# Nothing is written beside /tmp: no bytecode (the builder compiled it), no home.
ENV DRPLAN_COMMIT="${COMMIT}" \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that `runAsNonRoot` can be checked; the one of the chart's podSecurityContext.
USER 65532:65532
WORKDIR /
# metrics, probes, admission, the HTTP API
EXPOSE 8080 8081 9443 9444
# No HEALTHCHECK: Kubernetes does not read it, and asks /healthz and /readyz by the probes of the chart.
ENTRYPOINT ["/opt/drplan/bin/drplan"]
