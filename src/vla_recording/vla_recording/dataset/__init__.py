# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets v3.0: written, read, checked. Needs no LeRobot, no ROS, and reads no clock."""

from vla_recording.dataset.catalogue import Catalogue, Episode, VideoPart
from vla_recording.dataset.edit import set_task
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import IMAGE, VIDEO, Feature, picture, vector
from vla_recording.dataset.pictures import Codec
from vla_recording.dataset.reader import Dataset
from vla_recording.dataset.rows import ContractRows, observation
from vla_recording.dataset.writer import DatasetWriter

__all__ = [
    "IMAGE",
    "VIDEO",
    "Catalogue",
    "Codec",
    "ContractRows",
    "Dataset",
    "DatasetError",
    "DatasetWriter",
    "Episode",
    "Feature",
    "VideoPart",
    "observation",
    "picture",
    "set_task",
    "vector",
]
