# SPDX-License-Identifier: Apache-2.0
"""The bridge."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import sensor_msgs.msg

from cv_bridge import encodings

# OpenCV names a Bayer pattern by its second row, second and third pixel.
_BAYER_CODES = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}


class CvBridgeError(TypeError):
    """A conversion that cannot be done."""


def _convert_color(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert between encodings; `passthrough` and equal ones leave the image alone."""
    if target in ("passthrough", source):
        return image
    try:
        wanted, wanted_channels = encodings.dtype_and_channels(target)
        encodings.dtype_and_channels(source)
    except ValueError as error:
        raise CvBridgeError(str(error)) from None
    layout = encodings.color_layout(target)
    bayer = encodings.bayer_pattern(source)
    present = encodings.color_layout(source)
    if bayer and layout:
        name = "GRAY" if layout[0] == "mono" else layout[0].upper()
        code = getattr(cv2, f"COLOR_Bayer{_BAYER_CODES[bayer[0]]}2{name}")
        image, present = cv2.cvtColor(image, code), (layout[0], bayer[1])
    elif source in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv") and layout:
        order = "UYVY" if source in ("yuv422", "uyvy") else "YUY2"
        name = "GRAY" if layout[0] == "mono" else layout[0].upper()
        image = cv2.cvtColor(image, getattr(cv2, f"COLOR_YUV2{name}_{order}"))
        present = (layout[0], 8)
    elif layout and present and layout[0] != present[0]:
        names = [("gray" if name == "mono" else name).upper() for name in (present[0], layout[0])]
        image = cv2.cvtColor(image, getattr(cv2, f"COLOR_{names[0]}2{names[1]}"))
    elif (layout and not present) or (not layout and present):
        # Between colours and none only the shape must agree.
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != wanted_channels:
            raise CvBridgeError(
                f"[{source}] has {channels} channels, [{target}] {wanted_channels}"
            )
    if image.dtype != wanted:
        if present and layout and {present[1], layout[1]} == {8, 16}:
            factor = 255.0 / 65535.0 if layout[1] == 8 else 65535.0 / 255.0
            return np.clip(np.rint(image * factor), 0, np.iinfo(wanted).max).astype(wanted)
        return image.astype(wanted)
    return image


class CvBridge:
    """Converts images; OpenCV's side is a numpy array (height, width[, channels])."""

    def encoding_to_cvtype2(self, encoding: str) -> int:
        """Return OpenCV's type number of an encoding."""
        dtype, channels = self.encoding_to_dtype_with_channels(encoding)
        depths = {"uint8": 0, "int8": 1, "uint16": 2, "int16": 3, "int32": 4}
        depths |= {"float32": 5, "float64": 6}
        return depths[dtype] + (channels - 1) * 8

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """Return (numpy type name, channels) of an encoding.

        Raises:
            CvBridgeError: If the encoding is unknown.
        """
        try:
            dtype, channels = encodings.dtype_and_channels(encoding)
        except ValueError as error:
            raise CvBridgeError(str(error)) from None
        return dtype.name, channels

    def dtype_with_channels_to_cvtype2(self, dtype: Any, n_channels: int) -> str:
        """Return OpenCV's name of a type, `8UC3`."""
        return encodings.generic_name(np.dtype(dtype), n_channels)

    def cvtype2_to_dtype_with_channels(self, cvtype: int) -> tuple[str, int]:
        """Return (numpy type name, channels) of one of OpenCV's type numbers."""
        names = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")
        depth, channels = cvtype % 8, cvtype // 8 + 1
        if not 0 <= depth < len(names):
            raise CvBridgeError(f"{cvtype} is no type number of OpenCV's")
        return names[depth], channels

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = "passthrough") -> np.ndarray:
        """Return a message's image.

        Args:
            img_msg: A sensor_msgs/Image.
            desired_encoding: The encoding to convert to.

        Returns:
            The image; where nothing is converted it shares the message's memory.

        Raises:
            CvBridgeError: If an encoding is unknown, the conversion is not offered, or the
                message holds less data than it says.
        """
        name, channels = self.encoding_to_dtype_with_channels(img_msg.encoding)
        order = ">" if img_msg.is_bigendian else "<"
        dtype = np.dtype(name).newbyteorder(order)
        row_size = img_msg.width * channels * dtype.itemsize
        if img_msg.step < row_size or len(img_msg.data) < img_msg.step * img_msg.height:
            raise CvBridgeError(
                f"an image of {img_msg.width} x {img_msg.height} [{img_msg.encoding}] needs rows "
                f"of {row_size} bytes; the message has step {img_msg.step} and "
                f"{len(img_msg.data)} bytes"
            )
        rows = np.frombuffer(img_msg.data, np.uint8, img_msg.step * img_msg.height)
        rows = rows.reshape(img_msg.height, img_msg.step)[:, :row_size]
        if img_msg.step != row_size:
            rows = np.ascontiguousarray(rows)
        shape = (img_msg.height, img_msg.width, channels)[: 2 if channels == 1 else 3]
        image = rows.view(dtype).reshape(shape)
        if (order == ">") == (sys.byteorder == "little") and dtype.itemsize > 1:
            image = image.byteswap().view(image.dtype.newbyteorder())
        return _convert_color(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = "passthrough", header: Any = None
    ) -> sensor_msgs.msg.Image:
        """Return a message with an image.

        Args:
            cvim: The image.
            encoding: What it is encoded as; by default an encoding without colours.
            header: The message's header.

        Raises:
            TypeError: If `cvim` is not an array.
            CvBridgeError: If the encoding is unknown or does not fit the image.
        """
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError("Your input type is not a numpy array")
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        present = encodings.generic_name(cvim.dtype, channels)
        if encoding == "passthrough":
            encoding = present
        else:
            name, wanted = self.encoding_to_dtype_with_channels(encoding)
            if (np.dtype(name), wanted) != (cvim.dtype.newbyteorder("="), channels):
                raise CvBridgeError(
                    f"encoding specified as {encoding}, but image has incompatible type {present}"
                )
        message = sensor_msgs.msg.Image(
            height=cvim.shape[0],
            width=cvim.shape[1],
            encoding=encoding,
            is_bigendian=cvim.dtype.byteorder == ">",
            step=cvim.shape[1] * channels * cvim.dtype.itemsize,
            data=np.ascontiguousarray(cvim).tobytes(),
        )
        if header is not None:
            message.header = header
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: Any, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """Return the image in a sensor_msgs/CompressedImage, bgr8 or mono8 where possible.

        Raises:
            CvBridgeError: If the data cannot be decoded.
        """
        data = np.frombuffer(cmprs_img_msg.data, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
        if image is None:
            raise CvBridgeError(f"cannot decode a compressed image ({cmprs_img_msg.format!r})")
        source = "mono8" if image.ndim == 2 else "bgr8"
        return _convert_color(image, source, desired_encoding)

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = "jpg"
    ) -> sensor_msgs.msg.CompressedImage:
        """Return a message with an image compressed by OpenCV.

        Raises:
            TypeError: If `cvim` is not an array.
            CvBridgeError: If OpenCV cannot write the format.
        """
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError("Your input type is not a numpy array")
        try:
            done, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(str(error)) from None
        if not done:
            raise CvBridgeError(f"cannot encode an image as '{dst_format}'")
        return sensor_msgs.msg.CompressedImage(format=dst_format, data=data.tobytes())
