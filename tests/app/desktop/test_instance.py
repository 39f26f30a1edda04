import sys

from PySide6.QtCore import QProcess

from app.desktop.instance import Instance


def test_the_second_wakes_the_first_and_is_not_it(qtbot, tmp_path):
    first = Instance(tmp_path)
    assert first.first
    with qtbot.waitSignal(first.woken):
        assert not Instance(tmp_path).first
    other = Instance(tmp_path / "elsewhere")
    assert other.first
    other.close()
    first.close()


def test_after_the_first_has_ended_another_can_be_it(qapp, tmp_path):
    Instance(tmp_path).close()
    again = Instance(tmp_path)
    assert again.first
    again.close()


def test_a_second_copy_of_the_application_brings_up_the_first_and_ends(qtbot, tmp_path):
    first = Instance(tmp_path)
    process = QProcess()
    with qtbot.waitSignals([first.woken, process.finished], timeout=60_000):
        process.start(sys.executable, ["-m", "app", "--data-dir", str(tmp_path)])
    assert process.exitCode() == 0
    assert not process.readAllStandardError().contains(b"Traceback")
    assert not (tmp_path / "settings.json").exists()
    first.close()
