"""The memory of logits."""

from engine.arrays.packed import FEW_VECTORS
from engine.planning.logits import logits_bytes
from engine.settings import Settings


def test_without_drafts_a_pass_makes_the_logits_of_one_token():
    assert logits_bytes(1000, 4, Settings(drafts="none")) == 4 * 1000 * 4


def test_with_drafts_there_is_room_for_those_of_the_largest_pass():
    more = logits_bytes(1000, 4, Settings()) - logits_bytes(1000, 4, Settings(drafts="none"))
    assert more == 2 * 4 * 1000 * (FEW_VECTORS - 1)
