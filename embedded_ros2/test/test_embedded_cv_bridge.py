# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

pytest.importorskip("cv2")
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BRIDGE = CvBridge()
COLOR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("mono8", np.uint8, 1),
        ("bgr8", np.uint8, 3),
        ("rgba8", np.uint8, 4),
        ("mono16", np.uint16, 1),
        ("16UC1", np.uint16, 1),
        ("32FC1", np.float32, 1),
        ("64FC2", np.float64, 2),
        ("8SC3", np.int8, 3),
    ],
)
def test_an_image_goes_there_and_back(encoding, dtype, channels):
    shape = (4, 6) if channels == 1 else (4, 6, channels)
    image = np.arange(4 * 6 * channels).reshape(shape).astype(dtype)
    message = BRIDGE.cv2_to_imgmsg(image, encoding, Header(frame_id="camera"))
    assert (message.height, message.width, message.encoding) == (4, 6, encoding)
    assert message.step == 6 * channels * np.dtype(dtype).itemsize
    assert message.header.frame_id == "camera"
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


def test_colours_change_places():
    message = BRIDGE.cv2_to_imgmsg(COLOR, "rgb8")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "bgr8"), COLOR[..., ::-1])
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "rgb8"), COLOR)
    assert BRIDGE.imgmsg_to_cv2(message, "mono8").shape == (4, 6)
    alpha = BRIDGE.imgmsg_to_cv2(message, "bgra8")
    assert (alpha[..., 3] == 255).all()


def test_sixteen_bits_become_eight():
    image = np.array([[0, 257, 65535]], np.uint16)
    message = BRIDGE.cv2_to_imgmsg(image, "mono16")
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "mono8"), [[0, 1, 255]])


def test_a_bayer_pattern_gives_its_colour():
    raw = np.zeros((8, 8), np.uint8)
    raw[0::2, 0::2] = 200  # red in rggb
    message = BRIDGE.cv2_to_imgmsg(raw, "mono8")
    message.encoding = "bayer_rggb8"
    red, green, blue = BRIDGE.imgmsg_to_cv2(message, "rgb8")[4, 4]
    assert red == 200
    assert (green, blue) == (0, 0)


def test_padded_rows_are_cut():
    message = Image(
        height=2, width=3, encoding="mono8", step=4, data=bytes([1, 2, 3, 0, 4, 5, 6, 0])
    )
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), [[1, 2, 3], [4, 5, 6]])


def test_the_other_byte_order_is_turned():
    message = Image(
        height=1, width=2, encoding="mono16", step=4, is_bigendian=1, data=bytes([1, 0, 0, 2])
    )
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), [[256, 2]])


@pytest.mark.parametrize("data", [b"", bytes(71)])
def test_too_little_data_is_refused(data):
    message = BRIDGE.cv2_to_imgmsg(COLOR, "bgr8")
    message.data = data
    with pytest.raises(CvBridgeError, match="needs rows of 18 bytes"):
        BRIDGE.imgmsg_to_cv2(message)


def test_an_unknown_encoding_is_refused():
    with pytest.raises(CvBridgeError, match="nonsense"):
        BRIDGE.imgmsg_to_cv2(Image(encoding="nonsense"))
    with pytest.raises(CvBridgeError, match="nonsense"):
        BRIDGE.cv2_to_imgmsg(COLOR, "nonsense")


def test_an_encoding_that_does_not_fit_is_refused():
    with pytest.raises(CvBridgeError, match="incompatible type 8UC3"):
        BRIDGE.cv2_to_imgmsg(COLOR, "mono8")
    with pytest.raises(TypeError):
        BRIDGE.cv2_to_imgmsg([[1]], "mono8")


def test_compressed_images_go_there_and_back():
    message = BRIDGE.cv2_to_compressed_imgmsg(COLOR, "png")
    assert message.format == "png"
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), COLOR)
    np.testing.assert_array_equal(
        BRIDGE.compressed_imgmsg_to_cv2(message, "rgb8"), COLOR[..., ::-1]
    )


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_a_broken_compressed_image_is_refused(data):
    with pytest.raises(CvBridgeError, match="decode"):
        BRIDGE.compressed_imgmsg_to_cv2(CompressedImage(format="jpeg", data=data))
