# SPDX-License-Identifier: Apache-2.0
"""Pictures of a dataset: PNG without loss, and video by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vla_contract.images import ImageError, decompressed
from vla_recording.dataset.errors import DatasetError, VideoError
from vla_recording.dataset.features import Feature
from vla_recording.dataset.files import UNFINISHED, finish
from vla_recording.dataset.scheduling import ThreadScheduling

# SVT-AV1 tells its settings on the standard error otherwise, for every file.
os.environ.setdefault("SVT_LOG", "1")

Pixels = NDArray[np.uint8]

PIXEL_FORMAT = "yuv420p"
# Fast to write (1 of 9), a tenth larger.
_PNG_EFFORT = 1
_WATCHED = 30  # frames, in which all threads of an encoder have begun
# Such sizes SVT-AV1 refuses.
AV1_LEAST = 64


@dataclass(frozen=True)
class Codec:
    """How a video is encoded, as LeRobot's default is, but for one thread.

    Attributes:
        name: `libsvtav1`, smaller, or `h264`, which older players read too.
        crf: Quality: a lower number is better and larger.
        keyframe_every: Frames; at a short distance any frame is found fast.
    """

    name: str = "libsvtav1"
    crf: int = 30
    keyframe_every: int = 2

    def __post_init__(self) -> None:
        """Refuse what FFmpeg would refuse in the middle of an episode.

        Raises:
            DatasetError: The name or a number is wrong.
        """
        if self.name not in ("libsvtav1", "h264"):
            raise DatasetError(f"codec: {self.name!r} is unknown; write libsvtav1 or h264")
        if not (0 <= self.crf <= 51 and 1 <= self.keyframe_every <= 1000):
            raise DatasetError("codec: crf must be 0 to 51 and keyframe_every 1 to 1000")

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's options."""
        options = {"g": str(self.keyframe_every), "crf": str(self.crf)}
        if self.name == "libsvtav1":
            return {**options, "preset": "12", "svtav1-params": "fast-decode=0:lp=1"}
        return {**options, "preset": "veryfast", "threads": "1"}

    def told(self, feature: Feature, fps: int) -> dict[str, Any]:
        """Return what ``info.json`` says of a video, with LeRobot's keys."""
        height, width = feature.picture_size
        return {
            "video.height": height,
            "video.width": width,
            "video.codec": "av1" if self.name == "libsvtav1" else self.name,
            "video.pix_fmt": PIXEL_FORMAT,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
            "video.g": self.keyframe_every,
            "video.crf": self.crf,
        }


def to_png(pixels: Pixels) -> bytes:
    """Return an RGB picture as a PNG file."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, file = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_EFFORT])
    if not done:
        raise DatasetError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} makes no PNG")
    return bytes(file.tobytes())


def from_png(content: bytes, feature: Feature, where: str) -> Pixels:
    """Return the RGB pixels of a PNG or JPEG file, of the size that the feature says.

    Raises:
        DatasetError: It is damaged or of another size.
    """
    try:
        pixels = decompressed(content)
    except ImageError as error:
        raise DatasetError(f"{where}: {error}") from None
    if pixels.shape[:2] != feature.picture_size:
        height, width = feature.picture_size
        raise DatasetError(
            f"{where}: is {pixels.shape[1]} x {pixels.shape[0]}, info.json says {width} x {height}"
        )
    return pixels


class VideoWriter:
    """Encodes one episode of one camera, frame by frame, into a file that has its name at last.

    Attributes:
        bytes: Of the pictures that are in the file so far; the encoder holds some back.
    """

    def __init__(self, path: Path, feature: Feature, fps: int | Fraction, codec: Codec) -> None:
        """Begin a file.

        Args:
            path: Where it will lie.
            feature: Its size.
            fps: Frames a second.
            codec: How it is encoded.

        Raises:
            VideoError: It cannot be written, or the codec does not take this size.
        """
        height, width = feature.picture_size
        if codec.name == "libsvtav1" and min(height, width) < AV1_LEAST:
            raise VideoError(
                f"{path}: {width} x {height} is too small for {codec.name}, which takes "
                f"{AV1_LEAST} and more; use h264, or store PNG"
            )
        self._path, self._unfinished = path, path.with_name(path.name + UNFINISHED)
        self.bytes = self._frames = 0
        self._period = 1 / Fraction(fps)
        self._scheduling = ThreadScheduling()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._unfinished), "w", format="mp4")
            stream: Any = self._container.add_stream(codec.name, rate=Fraction(fps))
            stream.width, stream.height = width, height
            stream.pix_fmt = PIXEL_FORMAT
            stream.options = codec.options
            self._stream = stream
        except (OSError, av.FFmpegError, ValueError) as error:
            raise self._failed(error) from error

    def add(self, pixels: Pixels) -> None:
        """Encode a frame (H, W, 3), RGB.

        Raises:
            VideoError: The file cannot be written on, as on a full disk.
        """
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = self._frames
        frame.time_base = self._period
        try:
            # The encoder starts its threads for the first frame; on a busy computer they ask for
            # their priority later.
            if self._frames == 0:
                self._scheduling = ThreadScheduling()
            try:
                packets = self._stream.encode(frame)
            finally:
                if self._frames < _WATCHED:
                    self._scheduling.restore()
            self.bytes += sum(packet.size for packet in packets)
            self._container.mux(packets)
        except (OSError, av.FFmpegError, ValueError) as error:
            raise self._failed(error) from error
        self._frames += 1

    def close(self) -> None:
        """Finish the file, count its frames and give it its name.

        Raises:
            VideoError: It could not be finished, or a frame is not in it.
        """
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            with av.open(str(self._unfinished)) as container:
                count = sum(packet.size > 0 for packet in container.demux(video=0))
        except (OSError, av.FFmpegError, ValueError) as error:
            raise self._failed(error) from error
        if count != self._frames:
            raise VideoError(f"{self._path}: has {count} of {self._frames} frames")
        try:
            finish(self._unfinished, self._path)
        except DatasetError as error:
            raise VideoError(str(error)) from error

    def discard(self) -> None:
        """End without a file."""
        with suppress(OSError, av.FFmpegError, ValueError):
            self._stream.encode(None)
            self._container.close()
        self._unfinished.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> VideoError:
        why = getattr(error, "strerror", None) or str(error)
        return VideoError(f"{self._path}: cannot be written: {why}")


class VideoReader:
    """Frames of a video by their time; keeps the file open, and the place where it is.

    A context manager.
    """

    def __init__(self, path: Path, feature: Feature, fps: float) -> None:
        """Open a video.

        Raises:
            DatasetError: It is missing, damaged or of another size than the feature.
        """
        self._path, self._tolerance_s = path, 0.5 / fps
        try:
            os.stat(path)
            self._container = av.open(str(path))
        except (OSError, av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from None
        try:
            streams = self._container.streams.video
            # Without a decoder there is no codec context.
            if not streams or streams[0].codec_context is None:
                raise DatasetError(f"{path}: has no video to decode; restore it from a copy")
            self._stream: Any = streams[0]
            self._stream.codec_context.thread_count = 1
            size = (self._stream.height, self._stream.width)
            if size != feature.picture_size:
                height, width = feature.picture_size
                raise DatasetError(
                    f"{path}: is {size[1]} x {size[0]}, info.json says {width} x {height}"
                )
        except DatasetError:
            self._container.close()
            raise

    def __enter__(self) -> VideoReader:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, from_s: float, count: int, fps: float) -> Iterator[Pixels]:
        """Yield `count` frames (H, W, 3) that are 1 / fps apart.

        Args:
            from_s: Time of the first in the file, s.
            count: How many.
            fps: Frames a second.

        Raises:
            DatasetError: There is none within half a period of where one should be.
        """
        wanted = 0
        last: tuple[float, Any] | None = None
        for at_s, frame in self._from(from_s):
            # The nearest of those before and after is the one wanted.
            while wanted < count and at_s >= from_s + wanted / fps:
                target_s = from_s + wanted / fps
                near = (at_s, frame)
                if last is not None and target_s - last[0] < at_s - target_s:
                    near = last
                yield self._pixels(near, target_s)
                wanted += 1
            if wanted == count:
                return
            last = (at_s, frame)
        while wanted < count:
            # After the end, the last frame serves as long as it is near enough.
            target_s = from_s + wanted / fps
            if last is None:
                raise DatasetError(f"{self._path}: has no frame at {target_s:.3f} s or later")
            yield self._pixels(last, target_s)
            wanted += 1

    def _pixels(self, found: tuple[float, Any], target_s: float) -> Pixels:
        if not abs(found[0] - target_s) <= self._tolerance_s:
            raise DatasetError(
                f"{self._path}: has no frame at {target_s:.3f} s; the nearest is at "
                f"{found[0]:.3f} s"
            )
        pixels: Pixels = found[1].to_ndarray(format="rgb24")
        return pixels

    def _from(self, from_s: float) -> Iterator[tuple[float, Any]]:
        base = self._stream.time_base
        try:
            self._container.seek(
                max(0, round(from_s / base) - 1), backward=True, any_frame=False,
                stream=self._stream,
            )  # fmt: skip
            for frame in self._container.decode(self._stream):
                if frame.pts is not None:
                    yield float(frame.pts * base), frame
        except (OSError, av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DatasetError:
        why = getattr(error, "strerror", None) or str(error)
        return DatasetError(f"{self._path}: cannot be read: {why}; restore it from a copy")
