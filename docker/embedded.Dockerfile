# The suite without ROS 2, on embedded_ros2: simulation, monitor, policies, the SO-101's driver.
#   docker build --file docker/embedded.Dockerfile --tag vla-embedded .
#   docker run --rm --init vla-embedded
ARG BASE_IMAGE=debian:bookworm-slim

# What PyPI brings. It changes seldom and is most of the image: a layer of its own.
FROM ${BASE_IMAGE} AS libraries
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/vla
COPY constraints.txt docker/embedded.txt /build/
RUN /opt/vla/bin/pip install --no-cache-dir --constraint /build/constraints.txt --requirement /build/embedded.txt

# The suite itself, into a folder that is laid over that environment: the tools that build it stay behind.
FROM libraries AS suite
RUN /opt/vla/bin/pip install --no-cache-dir --constraint /build/constraints.txt setuptools wheel hatchling
WORKDIR /build
COPY embedded_ros2 embedded_ros2
COPY src src
COPY launch launch
COPY config config
RUN /opt/vla/bin/pip install --no-cache-dir --no-build-isolation --no-deps --root /made ./embedded_ros2 ./src/*

FROM ${BASE_IMAGE}
ARG USER_ID=1000
# OpenGL for the simulated cameras. A serial port is of the group dialout, a camera of the group video.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgl1-mesa-dri python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid "${USER_ID}" --groups dialout,video vla
COPY --from=libraries /opt/vla /opt/vla
COPY --from=suite /made/opt/vla /opt/vla
COPY docker/healthy.py /usr/local/bin/healthy
ENV PATH=/opt/vla/bin:$PATH PYTHONUNBUFFERED=1
USER ${USER_ID}
WORKDIR /home/vla
# Compiled and kept, for processors such as this one; another compiles anew at its first start. What outlives a
# container is in ~/.ros: the latch of a stop, and recordings. Made here, a volume there belongs to this user.
RUN python3 -c 'import smooth_motion.kernels' && mkdir .ros out
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=20s --start-period=90s --retries=3 CMD ["python3", "/usr/local/bin/healthy"]
CMD ["demo", "--output", "/home/vla/out"]
