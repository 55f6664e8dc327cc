# The suite on ROS 2: every node, ros2_control, the SO-101's cameras.
#   docker build --file docker/ros.Dockerfile --tag vla-ros .
#   docker run --rm --init vla-ros ros2 launch vla_bringup so101.launch.py
ARG ROS_DISTRO=jazzy

# Which packages need what. A change of code changes nothing of it, and so nothing of the next stage.
FROM ros:${ROS_DISTRO}-ros-base AS manifests
WORKDIR /vla
COPY src src
RUN find src -type f ! -name package.xml -delete

FROM ros:${ROS_DISTRO}-ros-base AS libraries
ARG USER_ID=1000
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Before 20-default.list: of two lists that know a key, rosdep takes the first.
COPY rosdep.yaml /etc/ros/rosdep/vla.yaml
COPY --from=manifests /vla/src /vla/src
# By hand: OpenGL for the simulated cameras, and what launch files use where it is there.
RUN echo "yaml file:///etc/ros/rosdep/vla.yaml" >/etc/ros/rosdep/sources.list.d/10-vla.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip libegl1 libgl1 libgl1-mesa-dri \
        "ros-${ROS_DISTRO}-joint-state-topic-hardware-interface" \
        "ros-${ROS_DISTRO}-rmw-zenoh-cpp" \
        "ros-${ROS_DISTRO}-v4l2-camera" \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install --from-paths /vla/src --ignore-src --default-yes --rosdistro "${ROS_DISTRO}" \
        --dependency-types buildtool --dependency-types build --dependency-types exec \
    && rm -rf /var/lib/apt/lists/* /root/.ros
# Ubuntu's images since 24.04 have a user of this number. A serial port is of the group dialout, a camera of video.
RUN if getent passwd "${USER_ID}"; then userdel --remove "$(getent passwd "${USER_ID}" | cut -d: -f1)"; fi \
    && useradd --create-home --shell /bin/bash --uid "${USER_ID}" --groups dialout,video vla

# To work on the suite in: what its tests need, and no suite.
FROM libraries AS development
RUN apt-get update \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install --from-paths /vla/src --ignore-src --default-yes --rosdistro "${ROS_DISTRO}" \
        --dependency-types test \
    && rm -rf /var/lib/apt/lists/* /root/.ros
ARG USER_ID=1000
USER ${USER_ID}

FROM libraries AS build
WORKDIR /build
COPY src src
COPY launch launch
COPY config config
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" \
    && colcon build --merge-install --install-base /opt/vla --cmake-args -DBUILD_TESTING=OFF

FROM libraries
ARG USER_ID=1000
COPY --from=build /opt/vla /opt/vla
COPY docker/ros_entrypoint.sh /ros_entrypoint.sh
COPY docker/healthy.py /usr/local/bin/healthy
ENV PYTHONUNBUFFERED=1
USER ${USER_ID}
WORKDIR /home/vla
# What outlives a container is in ~/.ros: the latch of a stop, and recordings. Made here, a volume there is this user's.
RUN . /opt/vla/setup.sh && python3 -c 'import smooth_motion.kernels' && mkdir --parents .ros
STOPSIGNAL SIGINT
ENTRYPOINT ["/ros_entrypoint.sh"]
HEALTHCHECK --interval=10s --timeout=20s --start-period=90s --retries=3 \
    CMD ["/ros_entrypoint.sh", "python3", "/usr/local/bin/healthy"]
CMD ["ros2", "launch", "vla_bringup", "so101.launch.py"]
