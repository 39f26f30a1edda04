"""Evaluation: whether what is computed here may be evaluated, or shapes alone are wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

evaluating = ContextVar("evaluating", default=True)  # false where shapes alone are wanted


@contextmanager
def unevaluated() -> Iterator[None]:
    """For shapes alone: what attends or adds meanwhile evaluates nothing."""
    token = evaluating.set(False)
    try:
        yield
    finally:
        evaluating.reset(token)
