"""A cancellation that comes in the middle, at the same moment every time."""

import threading


class Late(threading.Event):
    """Set once it has been looked at so many times."""

    def __init__(self, looks: int):
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0
