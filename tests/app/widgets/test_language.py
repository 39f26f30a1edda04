"""The window's language: the system's or the chosen one, in words, numbers and Qt's own buttons."""

import os
import shutil
from datetime import date

import pytest
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QDialogButtonBox

import engine
from app.chat.conversations_model import ConversationsModel
from app.host.engine_host import State
from app.settings.window import SettingsWindow
from app.widgets import language, units
from engine.errors import CheckpointError, FlawError
from engine.system.documents import DOWNLOAD_AGAIN
from engine.text import Text
from tests.helpers.chatting import shown_notice


@pytest.fixture
def chinese(qapp):
    yield language.use(language.CHINESE)
    language.use(language.ENGLISH)


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [
        ([], "en"),
        (["de-DE", "fr"], "en"),
        (["en-GB", "zh-Hans-CN"], "en"),
        (["de-DE", "zh-Hans-CN", "en"], "zh_CN"),
        (["zh_CN"], "zh_CN"),
        (["zh"], "zh_CN"),
        (["zh-Hans-HK-x-private"], "en"),
        (["zh-Hant-TW"], "en"),
    ],
)
def test_the_first_language_that_we_have(wanted, spoken):
    assert language.best_of(wanted) == spoken


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (("It fits.", "", "It is fast."), "It fits. It is fast."),
        (("放得下。", "", "很快。"), "放得下。很快。"),
        (("放得下（全部）", "用 SmolLM2 测得。", "Well."), "放得下（全部）用 SmolLM2 测得。Well."),
        (("", ""), ""),
    ],
)
def test_sentences_follow_each_other_as_the_language_has_it(said, shown):
    assert language.sentences(*said) == shown


def test_the_application_follows_the_system(open_window, monkeypatch):
    monkeypatch.setattr(language, "system_languages", lambda: ["zh-Hans-CN"])
    window = open_window()
    assert window.new_chat.text() == "新建对话"
    assert window.chat.composer.entry.placeholderText() == "消息"
    assert "层" in window.monitor.neurons.toolTip()


def test_a_chosen_language_is_kept_and_spoken_from_the_next_start(open_window, qtbot, tmp_path):
    window = open_window(data_dir=tmp_path)
    window.show_settings.trigger()
    window.settings_window.open_pane("general")
    pane = window.settings_window.panes[0][2]
    assert pane.language.currentText() == "System"
    pane.language.setCurrentIndex(pane.language.findText("简体中文"))
    window.quit()
    again = open_window(data_dir=tmp_path)
    assert again.models.text() == "模型…"


def test_what_the_engine_says_is_spoken_with_all_that_is_in_it(chinese):
    flaw = FlawError("it holds {name} twice", name="{x}")
    error = CheckpointError("{path} cannot be read: {flaw}. {cure}", path="a.bin", flaw=flaw, cure=DOWNLOAD_AGAIN)
    assert language.spoken(error) == "无法读取 a.bin：其中 {x} 出现了两次。请重新下载。"
    assert str(error) == "a.bin cannot be read: it holds {x} twice. Download it again."


def test_what_has_no_translation_is_spoken_as_it_is(chinese):
    assert language.spoken(Text("{a}, of which nobody heard", a=1)) == "1, of which nobody heard"
    assert language.spoken(OSError(28, "No space left")) == "[Errno 28] No space left"
    assert language.spoken("plain {text}") == "plain {text}"


def test_what_the_engine_says_of_a_model_is_shown_in_chinese(qtbot, open_window, tiny_model, tmp_path, monkeypatch):
    """The real engine, which finds a file of another length."""
    monkeypatch.setattr(language, "system_languages", lambda: ["zh-Hans-CN"])
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    size = (folder / "resident.safetensors").stat().st_size
    os.truncate(folder / "resident.safetensors", 10)
    window = open_window(engine, wait=False, model=str(folder))
    qtbot.waitUntil(lambda: window.host.state is State.FAILED, timeout=120_000)
    assert shown_notice(qtbot, window.chat).message.text() == (
        f"{folder}/resident.safetensors 有 10 字节，应为 {size} 字节：它不完整。请重新准备或下载此模型。"
    )


def test_qts_own_buttons_speak_it_too(qtbot, chinese):
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    qtbot.addWidget(box)
    assert box.buttons()[0].text() == "取消"


def test_going_back_leaves_nothing_behind(qtbot, make_host, chinese):
    language.use(language.ENGLISH)
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    qtbot.addWidget(box)
    assert box.buttons()[0].text() == "Cancel"


def test_numbers_and_dates_are_written_its_way(chinese):
    long_ago = ConversationsModel()._section(date(2019, 3, 5))
    assert (units.whole(131072), long_ago) == ("131,072", "2019年3月")
    QLocale.setDefault(QLocale("de_DE"))
    assert units.size(12_345_678) == "12,3\u00a0MB"


@pytest.mark.parametrize(("count", "text"), [(1, "1 chat"), (2, "2 chats")])
def test_english_tells_one_from_many(qapp, count, text):
    assert ConversationsModel().tr("%Ln chat(s)", "", count) == text


def test_every_pane_of_the_settings_opens_in_chinese(qtbot, make_host, chinese):
    from app.settings.registry import Preferences
    from tests.helpers.fake_engine import FakeEngine

    window = SettingsWindow(Preferences(), make_host(FakeEngine()))
    qtbot.addWidget(window)
    assert window.panes[0][1] == "通用"
