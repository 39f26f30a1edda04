"""The sliding window: how long a neuron stays in memory after it was last active (paper, section 3.1)."""


class Window:
    """A clock that counts tokens, and the last `size` of them.

    A neuron belongs to the window while the token at which it was last active is not older than `oldest`. A window of
    size 0 keeps nothing from token to token.
    """

    def __init__(self, size: int):
        if size < 0:
            raise ValueError("a window holds 0 tokens or more")
        self.size = size
        self.token = 0

    def advance(self, tokens: int = 1) -> None:
        """So many tokens more are about to be computed."""
        self.token += tokens

    @property
    def oldest(self) -> int:
        """The first token that is still in the window."""
        return self.token - max(self.size, 1) + 1
