# The server of a learned policy: torch and SmolVLA, no ROS and no simulation.
#   docker build --file docker/policy.Dockerfile --tag vla-policy .
# With CUDA, whose libraries are gigabytes:
#   docker build --file docker/policy.Dockerfile --tag vla-policy-cuda --build-arg TORCH_BUILD=cu130 .
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS libraries
# `cpu`, or one of PyTorch's CUDA builds.
ARG TORCH_BUILD=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/${TORCH_BUILD}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/vla
COPY constraints.txt docker/policy.txt /build/
# Torch comes alone: else each package would be looked for at its index too.
RUN sed -i "s/^\(torch==[^;]*\)+cpu;/\1+${TORCH_BUILD};/" /build/constraints.txt \
    && /opt/vla/bin/pip install --no-cache-dir --constraint /build/constraints.txt --no-deps \
        --extra-index-url "${TORCH_INDEX}" torch
RUN /opt/vla/bin/pip install --no-cache-dir --constraint /build/constraints.txt --requirement /build/policy.txt

FROM libraries AS suite
RUN /opt/vla/bin/pip install --no-cache-dir --constraint /build/constraints.txt setuptools wheel
WORKDIR /build
COPY src/strict_yaml src/strict_yaml
COPY src/vla_policies src/vla_policies
COPY src/smolvla src/smolvla
RUN /opt/vla/bin/pip install --no-cache-dir --no-build-isolation --no-deps --root /made ./src/*

FROM ${BASE_IMAGE}
ARG USER_ID=1000
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid "${USER_ID}" vla
COPY --from=libraries /opt/vla /opt/vla
COPY --from=suite /made/opt/vla /opt/vla
# Contracts, and the checkpoint that this repository trained. Others are mounted.
COPY config /home/vla/config
ENV PATH=/opt/vla/bin:$PATH PYTHONUNBUFFERED=1
USER ${USER_ID}
WORKDIR /home/vla/config/policies
# 503 while the policy does not return, which is an error here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["vla-policy", "serve", "so101_smolvla_cubes.yaml"]
