"""The library window, around a models folder of our own and a small program in the place of the command line."""

import json
import os
import shutil
import sys
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMessageBox

from app.library.jobs import Jobs, JobState
from app.library.row import ModelRow
from app.library.survey import of_found
from app.library.verdict import Kind
from app.library.window import LibraryWindow
from app.settings.registry import Preferences
from engine.errors import HubError
from engine.library.hub import Found
from engine.system.built_in import STARTER, STARTER_FOLDER
from tests.helpers.dropping import checkpoint_in, drop
from tests.helpers.job_program import PROGRAM

LEFT = Qt.MouseButton.LeftButton
LOOKS_UP = """
import json, sys, time
repo = sys.argv[1]
if repo == "owner/gated":
    print(json.dumps(dict(stage="failed", error="It is gated.", page="https://hub/owner/gated")), flush=True)
    sys.exit(1)
if repo == "owner/slow":
    try: time.sleep(60)
    except KeyboardInterrupt: sys.exit(130)
config = dict(model_type="llama", hidden_size=4096, num_attention_heads=32, num_hidden_layers=32,
              intermediate_size=11008, vocab_size=32000, torch_dtype="float16", hidden_act="relu")
plan = dict(repo=repo, model_type="llama", licence="llama2", gated=True, weight_bytes=13_500_000_000,
            needed_bytes=10**18)
refused = "Its FFN uses silu." if repo == "owner/dense" else ""
print(json.dumps(dict(stage="done", plan=plan, config=config, refused=refused)), flush=True)
"""
PATIENCE = 60_000  # the engine's parts are imported first


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setenv("FLASHBULB_MODELS", str(folder))
    return folder


@pytest.fixture
def installed(folder):
    """The starter model once more, under the name of a repository."""
    shutil.copytree(STARTER_FOLDER, folder / "owner--small")
    return folder / "owner--small"


def on_the_hub(words):
    """A stand-in for the Hub's search."""
    if words == "offline":
        raise HubError("The Hub cannot be reached.")
    if words != "qwen":
        return []
    found = (Found("Qwen/Chat", "chat", "llama", True, 10**9, "mit", False, 5, 1), Found("Qwen/Other", "base", "qwen3",
             False, 10**9, "mit", False, 4, 1))  # fmt: skip
    return [of_found(one) for one in found]


@pytest.fixture
def library(qtbot, folder):
    python = (sys.executable, "-S", "-c")
    window = LibraryWindow(Preferences(), Jobs((*python, PROGRAM)), Jobs((*python, LOOKS_UP)), on_the_hub)
    window.show()
    qtbot.waitUntil(lambda: window.row(STARTER) is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: window.rows[0].button.isVisible(), timeout=PATIENCE)
    yield window
    window.shutdown()
    window.close()
    window.deleteLater()


def find(qtbot, window, text, repo):
    window.field.setText(text)
    qtbot.waitUntil(lambda: window.row(repo) is not None, timeout=PATIENCE)
    return window.row(repo)


def test_the_starter_comes_first_and_can_be_chatted_with(qtbot, library):
    assert library.rows[0].row.repo == STARTER
    assert library.rows[0].verdict.text() == "Fits in memory"
    with qtbot.waitSignal(library.chat_asked) as asked:
        qtbot.mouseClick(library.rows[0].button, LEFT)
    assert asked.args == [STARTER]
    assert "free in" in library.foot.text()


def test_the_catalogue_says_what_would_become_of_each_model(library):
    verdicts = {row.verdict.text() for row in library.rows}
    assert verdicts <= {"Fits in memory", "Streams from flash", "Too large", "Not supported", "Not enough disk space"}
    assert len(library.rows) > 10
    assert all(row.facts.text() and row.button.accessibleName() for row in library.rows)


@pytest.mark.parametrize("height", [360, 900])
def test_a_row_alone_is_no_higher_than_it_needs_to_be(qtbot, library, height):
    library.resize(library.width(), height)
    row = find(qtbot, library, "starter", STARTER)
    assert len(library.rows) == 1
    qtbot.waitUntil(lambda: row.height() == row.heightForWidth(row.width()))


def test_quantised_neurons_and_their_loss_are_told_beside_the_size(qtbot, library):
    plain = library.rows[0].row
    for bits, loss, words in (
        (8, 0.0123, "8-bit neurons, perplexity +1.2 %"),
        (4, None, "4-bit neurons"),
        (None, None, ""),
    ):
        widget = ModelRow(replace(plain, bits=bits, loss=loss), False)
        qtbot.addWidget(widget)
        told = widget.facts.text().replace("\u00a0", " ")
        assert words in told
        assert ("neurons" in told) == bool(bits)


def look_up(qtbot, library, repo):
    """Press what asks the Hub, and wait for what it says."""
    row = find(qtbot, library, f"https://huggingface.co/{repo}", repo)
    assert row.button.text() == "Look Up"
    assert row.verdict.text() == "From the Hub"
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: not library.row(repo).unknown, timeout=PATIENCE)
    return library.row(repo)


def test_what_would_become_of_a_repository_is_told_before_it_is_fetched(qtbot, library):
    row = look_up(qtbot, library, "owner/one")
    about = " ".join(label.text() for label in row.findChildren(QLabel)).replace("\u00a0", " ")
    assert "owner, ReLU, llama2, gated" in about
    assert "13.5 GB" in about
    assert "of disk" in about
    assert "more than is free" in about
    assert row.verdict.text() in ("Not enough disk space", "Too large")
    assert row.reason.text()
    assert not row.button.isVisible()  # there is no room for it
    words = row.facts.fontMetrics().horizontalAdvance(row.facts.text())
    assert row.minimumSizeHint().width() < row.verdict.parentWidget().width() + words  # they wrap
    assert library.jobs.job("owner/one") is None
    library.field.clear()  # it stays among the others
    assert library.row("owner/one").verdict.text() == row.verdict.text()


def test_enter_looks_up_what_was_pasted(qtbot, library):
    find(qtbot, library, "owner/one", "owner/one")
    qtbot.keyClick(library.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not library.row("owner/one").unknown, timeout=PATIENCE)
    qtbot.keyClick(library.field, Qt.Key.Key_Return)
    assert library.jobs.job("owner/one") is None  # that is for its button


def test_what_cannot_be_prepared_says_why_and_is_not_offered(qtbot, library):
    row = look_up(qtbot, library, "owner/dense")
    assert (row.verdict.text(), row.reason.text()) == ("Not supported", "Its FFN uses silu.")
    assert not row.button.isVisible()


def test_a_look_up_that_fails_says_why(qtbot, library):
    row = find(qtbot, library, "owner/gated", "owner/gated")
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: row.reason.text() == "It is gated.", timeout=PATIENCE)
    assert row.job.page == "https://hub/owner/gated"
    assert row.button.text() == "Try Again"


def test_a_look_up_can_be_stopped(qtbot, library):
    row = find(qtbot, library, "owner/slow", "owner/slow")
    qtbot.mouseClick(row.button, LEFT)
    assert row.progress.text() == "asking the Hub…"
    qtbot.mouseClick(row.pause, LEFT)
    qtbot.waitUntil(lambda: row.button.isVisible(), timeout=PATIENCE)
    assert row.button.text() == "Look Up"


def test_a_link_to_a_model_of_the_catalogue_finds_its_row(library):
    library.field.setText("https://huggingface.co/facebook/opt-6.7b/tree/main")
    assert [row.row.repo for row in library.rows] == ["facebook/opt-6.7b"]


def test_a_repository_by_its_link_is_fetched_and_prepared(qtbot, library):
    row = look_up(qtbot, library, "owner/one")
    qtbot.mouseClick(row.button, LEFT)
    with qtbot.waitSignal(library.jobs.finished, timeout=PATIENCE) as finished:
        pass
    assert finished.args[0].folder == "/models/owner/one"


def test_a_job_can_be_paused_and_gone_on_with(qtbot, library):
    row = look_up(qtbot, library, "owner/waits")
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: row.bar.value() == 250, timeout=PATIENCE)
    assert not row.button.isVisible()
    qtbot.mouseClick(row.pause, LEFT)
    qtbot.waitUntil(lambda: row.job.state is JobState.PAUSED, timeout=PATIENCE)
    assert row.button.text() == "Resume"
    assert "paused at" in row.progress.text()
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: row.job.state is JobState.FETCHING, timeout=PATIENCE)


def test_a_failure_is_told_in_its_row(qtbot, library):
    row = look_up(qtbot, library, "owner/fails")
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: row.reason.text() == "There is no model.", timeout=PATIENCE)
    assert row.button.text() == "Try Again"


def test_what_is_not_there_is_said(library):
    library.field.setText("no such thing")
    assert library.rows == []
    assert library.nothing.isVisible()


@pytest.mark.usefixtures("installed")
def test_a_model_on_disk_is_verified_and_deleted(qtbot, folder, library):
    row = find(qtbot, library, "owner/small", "owner/small")
    row.verify_asked.emit(row.row)
    qtbot.waitUntil(lambda: library.message.text == "small is intact. All checksums match.", timeout=PATIENCE)
    row = find(qtbot, library, "owner/small", "owner/small")
    row.remove_asked.emit(row.row.repo)
    qtbot.waitUntil(lambda: any(b.text() == "Delete" for b in buttons(library)))
    next(b for b in buttons(library) if b.text() == "Delete").click()
    qtbot.waitUntil(lambda: not (folder / "owner--small").exists(), timeout=PATIENCE)
    qtbot.waitUntil(lambda: library.row("owner/small").row.folder is None, timeout=PATIENCE)


def buttons(library):
    return [button for box in library.findChildren(QMessageBox) for button in box.buttons()]


def test_a_damaged_model_is_found_out(qtbot, installed, library):
    manifest = json.loads((installed / "manifest.json").read_text())
    manifest["files"]["config.json"]["sha256"] = "0" * 64
    (installed / "manifest.json").write_text(json.dumps(manifest))
    row = find(qtbot, library, "owner/small", "owner/small")
    row.verify_asked.emit(row.row)
    qtbot.waitUntil(lambda: "damaged" in library.message.text, timeout=PATIENCE)
    assert library.findChild(QMessageBox) is None


def answer(qtbot, window, name):
    qtbot.waitUntil(lambda: any(b.text() == name for b in buttons(window)), timeout=PATIENCE)
    next(b for b in buttons(window) if b.text() == name).click()


@pytest.mark.parametrize("on_the_field", [False, True])
def test_a_dropped_prepared_model_is_loaded(qtbot, library, installed, on_the_field):
    with qtbot.waitSignal(library.chat_asked) as asked:
        drop(library.field if on_the_field else library, installed)
    assert asked.args == [str(installed)]
    assert library.field.text() == ""


def test_a_dropped_checkpoint_is_prepared_as_a_job_if_that_is_wished(qtbot, library, tmp_path):
    checkpoint = checkpoint_in(tmp_path / "mine")
    drop(library, checkpoint)
    answer(qtbot, library, "Prepare")
    qtbot.waitUntil(lambda: library.row(str(checkpoint)) is not None)
    assert library.row(str(checkpoint)).title.text() == "mine"
    with qtbot.waitSignal(library.jobs.finished, timeout=PATIENCE) as finished:
        pass
    assert finished.args[0].repo == str(checkpoint)
    qtbot.waitUntil(lambda: library.row(str(checkpoint)) is None, timeout=PATIENCE)


def test_what_is_no_model_is_said(qtbot, library, tmp_path):
    drop(library, tmp_path)
    qtbot.waitUntil(lambda: "is not a model's folder" in library.message.text, timeout=PATIENCE)
    assert library.findChild(QMessageBox) is None


ODD = {
    "config.json": [
        '{"model_type": "opt", "num_attention_heads": 0}', "[]", "", "null", '"x"', "{}", '{"hidden_size": "x"}',
        "[" * 100_000, '{"model_type": "opt", "hidden_size": 1e400}',
    ],
    "manifest.json": ["[" * 100_000, "{", "[]", "null", '{"files": 7, "layers": 3}', '{"layers": [{"sparsity": "x"}]}'],
}  # fmt: skip


def test_what_is_odd_is_a_row_with_what_is_wrong_and_hides_nothing(qtbot, folder, library):
    """Every kind of it at once, beside a model that is well."""
    names = {"owner/small"}
    shutil.copytree(STARTER_FOLDER, folder / "owner--small")
    for file, contents in ODD.items():
        for number, content in enumerate(contents):
            odd = folder / f"odd--{file.split('.')[0]}-{number}"
            odd.mkdir()
            (odd / "config.json").write_text((STARTER_FOLDER / "config.json").read_text())
            (odd / "manifest.json").write_text((STARTER_FOLDER / "manifest.json").read_text())
            (odd / file).write_text(content)
            names.add(odd.name.replace("--", "/"))
    library.refresh()
    qtbot.waitUntil(lambda: names <= {row.row.repo for row in library.rows}, timeout=PATIENCE)
    odd = [row for row in library.rows if row.row.repo.startswith("odd/")]
    assert {row.verdict.text() for row in odd} == {"Cannot be used"}
    assert all(row.reason.text() and not row.button.isVisible() for row in odd)
    assert library.row("owner/small").button.text() == "Chat"
    assert len(library.rows) > 30  # the catalogue is still there
    assert library.findChild(QMessageBox) is None


@pytest.mark.parametrize("kind", ["a file", "a loop", "closed"])
def test_a_folder_that_cannot_be_looked_at_is_said_once_and_in_its_place(qtbot, library, folder, kind):
    if kind == "a file":
        folder.write_text("")
    elif kind == "a loop":
        folder.symlink_to(folder)
    else:
        folder.mkdir()
        folder.chmod(0)
        if os.access(folder, os.R_OK):
            pytest.skip("nothing is closed to this user")
    library.refresh()
    qtbot.waitUntil(lambda: bool(library.message.text), timeout=PATIENCE)
    assert str(folder) in library.message.text
    assert library.findChild(QMessageBox) is None
    assert library.row(STARTER) is not None
    assert len(library.rows) > 10
    if kind == "closed":
        folder.chmod(0o700)


def test_the_model_in_use_is_marked(library):
    library.set_in_use(STARTER)
    row = library.row(STARTER)
    assert (row.badge.text(), row.button.text(), row.button.isEnabled()) == ("", "In Use", False)
    library.set_in_use("")
    assert library.row(STARTER).button.isEnabled()


def test_a_model_from_a_folder_is_listed_until_it_is_removed_from_the_list(qtbot, library, tmp_path):
    elsewhere = shutil.copytree(STARTER_FOLDER, tmp_path / "elsewhere")
    with qtbot.waitSignal(library.chat_asked, timeout=PATIENCE):
        drop(library, elsewhere)
    qtbot.waitUntil(lambda: library.row(str(elsewhere)) is not None, timeout=PATIENCE)
    row = library.row(str(elsewhere))
    assert (row.title.text(), row.about.text(), row.button.text()) == ("elsewhere", "From a folder", "Chat")
    next(action for action in row.more.menu().actions() if action.text() == "Remove from List").trigger()
    qtbot.waitUntil(lambda: library.row(str(elsewhere)) is None, timeout=PATIENCE)
    assert (elsewhere / "manifest.json").is_file()


def test_chat_models_come_first_and_one_is_recommended(library):
    offered = [row.row for row in library.rows if not row.row.on_disk]
    for research in (False, True):
        part = [row for row in offered if row.research is research]
        runs = [row for row in part if row.can_get]
        assert [row.chat is not True for row in runs] == sorted(row.chat is not True for row in runs)
        assert part[: len(runs)] == runs
    assert [row.research for row in offered] == sorted(row.research for row in offered)
    assert sum(row.recommended for row in offered) <= 1
    assert all(row.chat and row.can_get for row in offered if row.recommended)


def test_nothing_can_be_got_that_cannot_run_or_has_no_room(library):
    for row in library.rows:
        if not row.row.on_disk:
            runs = row.row.verdict.kind in (Kind.IN_MEMORY, Kind.STREAMS)
            assert row.button.isHidden() is not (runs and not row.row.lacking)


def test_another_folder_is_looked_into(qtbot, library, tmp_path):
    other = tmp_path / "drive"
    shutil.copytree(STARTER_FOLDER, other / "owner--elsewhere")
    library._settings["models.folder"] = str(other)
    qtbot.waitUntil(lambda: library.row("owner/elsewhere") is not None, timeout=PATIENCE)
    library._settings["models.folder"] = ""
    qtbot.waitUntil(lambda: library.row("owner/elsewhere") is None, timeout=PATIENCE)


def search_for(qtbot, library, words):
    library.field.setText(words)
    qtbot.keyClick(library.field, Qt.Key.Key_Return)


def test_return_searches_the_hub(qtbot, library):
    search_for(qtbot, library, "qwen")
    qtbot.waitUntil(lambda: library.row("Qwen/Chat") is not None, timeout=PATIENCE)
    chat, other = library.row("Qwen/Chat"), library.row("Qwen/Other")
    assert (chat.button.text(), chat.button.isHidden(), chat.verdict.text()) == ("Look Up", False, "From the Hub")
    assert (other.button.isHidden(), other.verdict.text()) == (True, "Not supported")
    assert other.reason.text() == "its architecture is qwen3"
    assert library.message.text == ""
    library.field.setText("qwe")  # what was found was found for other words
    assert library.row("Qwen/Chat") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [("nothing at all", "The Hub has no model of this name."), ("offline", "The Hub cannot be reached.")],
)
def test_a_search_that_finds_nothing_says_so(qtbot, library, words, said):
    search_for(qtbot, library, words)
    qtbot.waitUntil(lambda: library.message.text == said, timeout=PATIENCE)
    assert library.findChild(QMessageBox) is None


@pytest.mark.parametrize(
    ("repo", "family"),
    [("Qwen/Qwen3-30B-A3B", "qwen3"), ("openai/gpt-oss-120b", "gpt_oss"), ("facebook/opt-9000", "opt"), ("a/zzz", "")],
)
def test_a_family_that_runs_here_is_named_without_a_network(qtbot, library, repo, family):
    row = find(qtbot, library, repo, repo)
    assert row.button.text() == "Look Up"
    assert row.reason.text().startswith(f"Models of its family, {family}, run here." if family else "Looks up")
