from app.chat.welcome import STARTER_EXAMPLES, Welcome


def test_it_names_the_model_that_is_loaded_now(open_window):
    window = open_window(model="starter")
    welcome = window.chat.welcome
    assert welcome.title.text() == "Starter"
    assert "small talk" in welcome.about.text()
    assert [button.text() for button in welcome.examples] == list(STARTER_EXAMPLES)


def test_another_model_is_asked_other_things(qtbot):
    welcome = Welcome()
    qtbot.addWidget(welcome)
    welcome.describe("Starter", True)
    welcome.describe("OPT 6.7B", False)
    assert welcome.title.text() == "OPT 6.7B"
    assert "small talk" not in welcome.about.text()
    assert not set(STARTER_EXAMPLES) & {button.text() for button in welcome.examples}
    welcome.examples[0].click()
    with qtbot.waitSignal(welcome.chosen) as chosen:
        welcome.examples[0].click()
    assert chosen.args == [welcome.examples[0].text()]
