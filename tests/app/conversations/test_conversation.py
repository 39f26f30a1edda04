from app.conversations.conversation import TITLE_LENGTH, Attachment, Conversation, ToolCall, title_from
from engine.tokens.prompt import REASONING_NAMES
from tests.helpers.talks import talk


def finished(conversation, asked, said, parent=None):
    question, answer = conversation.ask(asked, parent)
    answer.text, answer.finish = said, "stop"
    answer.created = question.created = len(conversation.messages)
    return question, answer


def test_the_prompt_is_the_path_to_the_answer():
    conversation = Conversation()
    _, first = finished(conversation, "Hi", "Hello!")
    _, answer = conversation.ask("How is it going?", first.id)
    assert conversation.prompt(answer) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "How is it going?"},
    ]


def test_the_prompt_ends_with_what_there_is_of_the_answer():
    conversation = Conversation()
    _, answer = conversation.ask("Hi")
    answer.text = "Hel"
    assert [m["content"] for m in conversation.prompt(answer)] == ["Hi", "Hel"]


def test_a_question_without_an_answer_is_left_out():
    conversation = Conversation()
    _, failed = conversation.ask("First")
    _, answer = conversation.ask("Second", failed.id)
    assert conversation.prompt(answer) == [{"role": "user", "content": "Second"}]


def test_another_answer_stands_beside_the_first():
    conversation = Conversation()
    question, first = finished(conversation, "Hi", "Hello!")
    second = conversation.answer(question)
    second.text, second.created = "Hey!", 99.0
    assert [m.text for m in conversation.path()] == ["Hi", "Hey!"]
    assert conversation.siblings(first) == [first, second]
    assert [m["content"] for m in conversation.prompt(second)] == ["Hi", "Hey!"]


def test_an_edited_question_begins_a_branch_and_both_can_be_shown():
    conversation = Conversation()
    _, hello = finished(conversation, "Hi", "Hello!")
    old, old_answer = finished(conversation, "How are you?", "Fine.", hello.id)
    new, _ = finished(conversation, "Who are you?", "A model.", old.parent)
    assert [m.text for m in conversation.path()] == ["Hi", "Hello!", "Who are you?", "A model."]
    assert conversation.siblings(new) == [old, new]
    conversation.show(old)
    assert conversation.leaf == old_answer.id
    assert [m.text for m in conversation.path()] == ["Hi", "Hello!", "How are you?", "Fine."]


def test_a_first_question_can_be_edited_too():
    conversation = Conversation()
    first, _ = finished(conversation, "Hi", "Hello!")
    again, _ = finished(conversation, "Hey", "Yes?", first.parent)
    assert conversation.siblings(first) == [first, again]


def test_the_title_is_made_of_the_first_message():
    conversation = Conversation()
    _, answer = conversation.ask("Why  does a\nwindow help?")
    conversation.ask("Something else", answer.id)
    assert conversation.title == "Why does a window help?"


def test_long_titles_end_at_a_word():
    title = title_from("word " * 40)
    assert title.endswith("word…")
    assert len(title) <= TITLE_LENGTH + 1
    assert title_from("滑" * 100) == "滑" * TITLE_LENGTH + "…"


def test_as_markdown():
    conversation = Conversation()
    _, answer = finished(conversation, "Hi", "Hello!\n")
    conversation.ask("Anybody?", answer.id)
    assert conversation.as_markdown() == "**You:** Hi\n\n**Answer:** Hello!\n\n**You:** Anybody?"
    assert conversation.last_answer() is answer


def test_reasoning_is_handed_to_the_engine_beside_the_answer_it_led_to():
    conversation = talk("One", "1", "Two", "2")
    first, _, second, last = conversation.path()
    conversation.messages[first.id].attachments = (Attachment("a.py", "print('```')\n"),)
    conversation.path()[1].reasoning = "Count."
    last.text, last.reasoning = "2 and", "Count on."
    prompt = conversation.prompt(last)
    assert prompt == [
        {"role": "user", "content": "a.py\n````\nprint('```')\n````\n\nOne"},
        {"role": "assistant", "content": "1", "reasoning": "Count."},
        {"role": "user", "content": second.text},
        {"role": "assistant", "content": "2 and", "reasoning": "Count on."},
    ]
    assert {"reasoning"} <= set(REASONING_NAMES)  # the name that the engine knows it by


def test_calls_that_a_model_asked_for_are_handed_to_the_engine_with_what_it_said():
    """Also where it said nothing else; what could not be understood is no call."""
    conversation = talk("One", "", "Two", "2")
    first, called, _, last = conversation.path()
    called.tool_calls = (ToolCall("add", '{"n": 1}'), ToolCall("", "half a"))
    assert conversation.prompt(last)[:2] == [
        {"role": "user", "content": first.text},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": '{"n": 1}'}}],
        },
    ]
    called.tool_calls = (ToolCall("", "half a"),)
    assert [message["content"] for message in conversation.prompt(last)] == ["Two", "2"]


def test_answers_say_who_wrote_them_where_several_models_did():
    conversation = talk("One", "1", "Two", "2")
    _, first, _, second = conversation.path()
    assert conversation.writers() == {}
    first.receipt, second.receipt = {"model": "Small"}, {"model": "Small"}
    assert conversation.writers() == {}
    second.receipt = {"model": "Large"}
    assert conversation.writers() == {first.id: "Small", second.id: "Large"}
    assert "**Answer by Small:** 1\n\n**You:** Two\n\n**Answer by Large:** 2" in conversation.as_markdown()
    second.receipt = {"model": 3}
    assert conversation.writers() == {}


def test_a_copy_of_the_chat_has_the_answers_and_a_kept_one_the_reasoning_too():
    conversation = talk("One", "1")
    answer = conversation.path()[-1]
    answer.reasoning, answer.tool_calls = "Count.\n\nUp.", (ToolCall("add", '{"n": 1}'),)
    assert conversation.as_markdown() == '**You:** One\n\n**Answer:** 1\n\n`add`\n```json\n{"n": 1}\n```'
    assert "**Reasoning:**\n\n> Count.\n>\n> Up.\n\n**Answer:** 1" in conversation.as_markdown(whole=True)
