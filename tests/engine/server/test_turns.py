"""Turns: the window first, then programs one after another."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.server.answering import BusyError
from engine.server.turns import MAX_AHEAD, MAX_WAITING, Turns


def taken(turns: Turns) -> list:
    found = []
    while (item := turns.take(0)) is not None:
        found.append(item)
    return found


def test_the_window_goes_before_programs():
    turns = Turns()
    turns.put("asked", "editor")
    assert not turns.window_waits
    turns.put("typed")
    assert turns.window_waits
    assert taken(turns) == ["typed", "asked"]


def test_what_waits_is_seen_by_who_wants_it():
    turns = Turns()
    for words, program in (("asked", "editor"), ("typed", None), ("pressed", None)):
        turns.put(words, program)
    assert turns.of_window() == ["typed", "pressed"]
    assert turns.of_programs() == ["asked"]
    assert taken(turns) == ["typed", "pressed", "asked"]


def test_programs_take_turns_however_much_one_asks():
    turns = Turns()
    for number in range(3):
        turns.put(f"agent {number}", "agent")
    turns.put("editor 0", "editor")
    assert taken(turns) == ["agent 0", "editor 0", "agent 1", "agent 2"]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
def test_nobody_waits_for_two_of_another_program(programs):
    turns: Turns = Turns()
    for number, program in enumerate(programs):
        turns.put((program, number), program)
    found = taken(turns)
    assert sorted(found) == sorted((program, number) for number, program in enumerate(programs))
    for program in set(programs):
        assert [n for p, n in found if p == program] == sorted(n for p, n in found if p == program)
        own = [place for place, (p, _) in enumerate(found) if p == program]
        for first, second in itertools.pairwise(own):
            between = [p for p, _ in found[first + 1 : second]]
            assert len(between) == len(set(between))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40))
def test_those_that_are_ready_go_first_and_never_too_many_in_a_row(asked):
    turns: Turns = Turns(lambda item: item[1])
    for number, (program, ready) in enumerate(asked):
        turns.put((program, ready, number), program)
    waiting, ahead = list(dict.fromkeys(program for program, _ in asked)), 0
    left = {name: [(p, r, n) for n, (p, r) in enumerate(asked) if p == name] for name in waiting}
    for item in taken(turns):
        program = item[0]
        assert item == left[program].pop(0)
        skipped = waiting[: waiting.index(program)]
        assert all(not left[name][0][1] for name in skipped), "one that is ready was passed over"
        could = any(left[name][0][1] for name in waiting if name != program)
        assert item[1] or not could or ahead == MAX_AHEAD, "one that is ready had to wait"
        ahead = ahead + 1 if skipped else 0
        assert ahead <= MAX_AHEAD
        waiting.remove(program)
        waiting += [program] if left[program] else []


def test_too_many_are_sent_away_and_the_window_never():
    turns = Turns()
    for number in range(MAX_WAITING):
        turns.put(number, f"program {number % 3}")
    with pytest.raises(BusyError, match=f"{MAX_WAITING} requests wait already") as busy:
        turns.put("more", "editor")
    assert busy.value.retry_after > 0
    turns.put("typed")
    assert turns.take(0) == "typed"


def test_those_that_nobody_waits_for_make_way():
    """As of an editor that asks and leaves at every key."""
    left = set()
    turns = Turns(cancelled=left.__contains__)
    for number in range(MAX_WAITING):
        assert turns.put(number, f"program {number % 3}") == []
    left.update({3, 4, 60})
    assert sorted(turns.put("more", "editor")) == [3, 4, 60]
    assert {3, 4, 60}.isdisjoint(found := taken(turns))
    assert len(found) == MAX_WAITING - 2


def test_who_waits_is_woken():
    turns: Turns = Turns()
    found = []
    thread = threading.Thread(target=lambda: found.append(turns.take(30)))
    thread.start()
    turns.put("asked", "editor")
    thread.join(30)
    assert found == ["asked"]


def test_all_that_waits_can_be_sent_home():
    turns = Turns()
    turns.put("asked", "editor")
    turns.put("typed")
    assert turns.drain() == ["typed", "asked"]
    assert turns.take(0) is None
