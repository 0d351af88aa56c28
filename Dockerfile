# One image for every service: which room runs is the command. Works with the official base image and with the stand-in
# of `make base-images` alike. There is deliberately no syntax line: it would make every build ask a registry.

FROM python:3.13-slim-trixie AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/poolcrawl
# The lock comes first: a change of our own code does not install, nor copy, the libraries again.
COPY locks/runtime.txt /src/locks/runtime.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/poolcrawl/bin/pip install --require-hashes --only-binary :all: -r /src/locks/runtime.txt


FROM libraries AS lab-libraries
COPY locks/lab.txt /src/locks/lab.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/poolcrawl/bin/pip install --require-hashes --only-binary :all: -r /src/locks/lab.txt


FROM libraries AS wheel
WORKDIR /src
COPY pyproject.toml README.md ./
COPY crawl crawl
COPY producer producer
COPY worker worker
COPY export export
COPY demo demo
COPY embedded embedded
COPY lab lab
COPY poolcrawl poolcrawl
# No network: the build backend is in the lock.
RUN /opt/poolcrawl/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel .


FROM python:3.13-slim-trixie AS app
LABEL org.opencontainers.image.title="poolcrawl" \
      org.opencontainers.image.description="A distributed web crawler that makes Celery's pools a switch and a measurement" \
      org.opencontainers.image.licenses="MIT"
# The user is a number everywhere (Redis runs as the same), and the directories exist with its ownership in the image,
# because a named volume takes the ownership of the directory it is first mounted on.
RUN groupadd --gid 10001 poolcrawl \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin poolcrawl \
    && install -d -o 10001 -g 10001 -m 0700 /secrets /redis-data \
    && install -d -o 10001 -g 10001 -m 0755 /data
COPY --from=libraries /opt/poolcrawl /opt/poolcrawl
COPY tools/container /opt/poolcrawl/container
# pip compiles what it installs, so nothing has to be written when it runs.
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    /opt/poolcrawl/bin/pip install --no-index --no-deps --no-cache-dir /wheel/*.whl
ENV PATH=/opt/poolcrawl/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["poolcrawl"]
CMD ["--help"]


# With what the lab draws and encrypts with; for the compose profile `lab` only.
FROM app AS lab
COPY --from=lab-libraries /opt/poolcrawl /opt/poolcrawl
ENTRYPOINT ["poolcrawl", "bench"]


# What `docker build .` without a target makes.
FROM app
