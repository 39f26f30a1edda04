"""Relief: the part of its pools that a model gives to a system that is short of memory, and takes again later."""

from dataclasses import dataclass

STEP_SHARE = 1 / 8  # of the pools, given or taken at a time
CALM_S = 10.0  # without pressure, until anything is taken again


@dataclass
class Relief:
    """share: of what pools have beyond the smallest, the part that is kept; from 0 to 1."""

    share: float = 1.0
    _calm_since: float | None = None

    def give(self) -> None:
        """A step, for a system that is short of memory."""
        self._calm_since = None
        self.share = max(0.0, self.share - STEP_SHARE)

    def give_half(self) -> None:
        """Half of what is left, and a step, for a system that is critically short of memory."""
        self.share /= 2
        self.give()

    def take(self, now: float) -> None:
        """A step back, where there has been no pressure for a while. now: seconds of one clock."""
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since >= CALM_S:
            self.share = min(1.0, self.share + STEP_SHARE)
