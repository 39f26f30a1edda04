"""A checkpoint that was being added when something came between."""

import pytest

from engine.library.local import add
from tests.helpers.checkpoints import write_text


def add_half(checkpoint, tmp_path):
    """Interrupt adding it; returns the text that it is calibrated on."""

    def interrupted(stage, share):
        if share > 0.5:
            raise KeyboardInterrupt

    text = write_text(tmp_path / "text.txt")
    with pytest.raises(KeyboardInterrupt):
        add(checkpoint, interrupted, calibration=text)
    return text
