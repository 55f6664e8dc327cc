# SPDX-License-Identifier: Apache-2.0
"""Tokens of an instruction, by a tokenizer.json that lies beside the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as _Tokenizer

from smolvla.processing import Processing
from smolvla.shapes import VLM_FOLDER
from vla_policies.protocol import PolicyError

TOKENIZER_FILE = "tokenizer.json"


def find_tokenizer(folder: Path, name: str) -> Path:
    """Find the tokenizer of a checkpoint folder.

    Args:
        folder: The checkpoint.
        name: As its processors or its config say.

    Raises:
        PolicyError: There is none. Nothing is downloaded.
    """
    for place in (folder, folder / VLM_FOLDER, folder / name):
        if (place / TOKENIZER_FILE).is_file():
            return place / TOKENIZER_FILE
    raise PolicyError(
        f"{folder / TOKENIZER_FILE}: there is no such file, and nothing is downloaded unasked; "
        f"run: hf download {name} {TOKENIZER_FILE} --local-dir {folder}"
    )


class TaskTokens:
    """Makes tokens of an instruction as the checkpoint's processors do."""

    def __init__(self, path: Path, processing: Processing, vocabulary: int) -> None:
        """Load the tokenizer.

        Raises:
            PolicyError: It is damaged, or belongs to another model.
        """
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise PolicyError(f"{path}: is no tokenizer ({error}); copy it again") from None
        if self._tokenizer.get_vocab_size() > vocabulary:
            raise PolicyError(
                f"{path}: knows {self._tokenizer.get_vocab_size()} tokens, the model "
                f"{vocabulary}; the file belongs to another model"
            )
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._newline, self._length = processing.newline, processing.text_length

    def __call__(self, task: str) -> NDArray[np.int64]:
        """Return the tokens (L,) of an instruction; padding, which is masked, is left out.

        Raises:
            PolicyError: It has more than the model reads. LeRobot cuts it without a word, in
                training too, so that two which differ at their ends only are one to the model.
        """
        text = task if task.endswith("\n") or not self._newline else task + "\n"
        ids = self._tokenizer.encode(text).ids
        if len(ids) > self._length:
            read = self._tokenizer.decode(ids[: self._length - 1]).strip()
            raise PolicyError(
                f"the instruction has {len(ids)} tokens, the policy reads {self._length}: "
                f"{read[:300]!r}; send only that much, or a shorter one"
            )
        return np.array(ids, dtype=np.int64)
