"""An answer's deltas: nothing of it is lost, and nothing that is a call is shown as text."""

from hypothesis import given
from hypothesis import strategies as st

from engine.server.deltas import Deltas, Kind
from engine.tokens.channels import Channel, ChannelEvent, ToolCall
from tests.helpers.answering import ANSWER, REASONING, TOOL, WEATHER, noted, piece

CALLED = ChannelEvent(TOOL, "", (WEATHER,))


def told(*events):
    """An answer's deltas, and what is known of it at the end."""
    deltas = Deltas()
    found = [delta for event in events for delta in deltas.of(piece((event,)))]
    return [*found, *deltas.finish()], deltas


def test_a_call_that_cannot_be_understood_is_text():
    found, answer = told(ChannelEvent(ANSWER, "See: "), ChannelEvent(TOOL, "get_wea"), ChannelEvent(TOOL, "ther("))
    assert [delta.text for delta in found] == ["See: ", "get_weather("]
    assert answer.text == "See: get_weather("
    found, answer = told(ChannelEvent(TOOL, "get("), ChannelEvent(ANSWER, " so it is"))
    assert answer.text == "get( so it is"


def test_blanks_around_calls_are_left_out_and_before_words_kept():
    blank = ChannelEvent(ANSWER, "\n\n")
    _, answer = told(CALLED, blank, CALLED, blank)
    assert (answer.text, len(answer.calls)) == ("", 2)
    _, answer = told(
        CALLED, blank, ChannelEvent(ANSWER, "That"), ChannelEvent(ANSWER, "\n"), ChannelEvent(ANSWER, "is")
    )
    assert answer.text == "\n\nThat\nis"


def test_calls_have_ids_of_nine_letters_and_digits_as_every_template_takes():
    _, answer = told(CALLED, CALLED)
    first, second = (call.id for call in answer.calls)
    assert first != second
    assert all(len(each) == 9 and each.isalnum() and each.isascii() for each in (first, second))


def test_probabilities_stand_beside_the_text_that_their_tokens_complete():
    first, second, third = (noted(text) for text in (b"\xc3", b"\xbc", b"!"))
    deltas = Deltas()
    pieces = [
        piece((ChannelEvent(REASONING, "Hm."),), noted(b"Hm.")),
        piece((ChannelEvent(ANSWER, ""),), first),
        piece((ChannelEvent(ANSWER, "ü"),), second),
        piece((ChannelEvent(ANSWER, "!"),), third),
    ]
    found = [delta for each in pieces for delta in deltas.of(each)]
    assert [delta.logprobs for delta in found if delta.kind is Kind.TEXT] == [(first, second), (third,)]
    assert deltas.logprobs == [first, second, third]


EVENT = st.one_of(
    st.builds(ChannelEvent, st.sampled_from([REASONING, ANSWER, TOOL]), st.text(max_size=5)),
    st.builds(lambda name: ChannelEvent(Channel.TOOL_CALL, "", (ToolCall(name, {"a": 1}),)), st.text(max_size=3)),
)


@given(st.lists(EVENT, max_size=12))
def test_what_is_told_is_what_is_known_at_the_end(events):
    found, answer = told(*events)
    assert "".join(delta.text for delta in found if delta.kind is Kind.TEXT) == answer.text
    assert "".join(delta.text for delta in found if delta.kind is Kind.REASONING) == answer.reasoning
    assert [delta.call for delta in found if delta.kind is Kind.CALL] == answer.calls
    assert [call.name for call in answer.calls] == [call.name for event in events for call in event.calls]
    assert answer.reasoning == "".join(event.text for event in events if event.channel is REASONING)
    written = iter("".join(answer.text.split()))
    said = "".join("".join(event.text for event in events if event.channel is ANSWER).split())
    assert all(character in written for character in said), "in the same order"
