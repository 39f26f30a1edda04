from app.conversation import Conversation


def test_messages_end_with_the_open_question():
    conversation = Conversation()
    conversation.ask("Hi").answer = "Hello!"
    conversation.ask("How are you?")
    assert conversation.messages() == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "How are you?"},
    ]


def test_roles_alternate_when_an_answer_is_missing():
    conversation = Conversation()
    conversation.ask("Hi").error = "It broke."
    conversation.ask("Again")
    assert conversation.messages() == [{"role": "user", "content": "Again"}]


def test_an_empty_conversation_has_no_messages():
    assert Conversation().messages() == []
