"""The catalogue: what it says of each model."""

from engine.library.catalogue import DESCRIPTIONS, catalogue
from engine.library.hub import is_repository
from engine.models import ARCHITECTURES


def test_the_catalogue_names_the_source_of_each_figure():
    models = catalogue()
    assert len({model["repo"] for model in models}) == len(models)
    for model in models:
        assert is_repository(model["repo"])
        assert model["supported"] == (model["model_type"] in ARCHITECTURES)
        for figure in ("parameters", "bytes", "sparsity", "licence"):
            assert (model[figure] is None) or model["sources"][figure]
    assert next(model for model in models if model["repo"] == "facebook/opt-6.7b")["supported"]


def test_each_model_says_what_it_is_for_and_how_much_is_downloaded():
    models = catalogue()
    assert {model["family"] for model in models} == DESCRIPTIONS.keys()
    for model in models:
        assert model["kind"] in ("base", "chat")
        assert model["description"].endswith(".")
        assert model["download_bytes"] == (model["bytes"] or 2 * model["parameters"])


def test_what_was_trained_to_answer_is_told_from_what_continues_a_text():
    kinds = {model["repo"]: model["kind"] for model in catalogue()}
    assert kinds["facebook/opt-6.7b"] == kinds["SparseLLM/ReluLLaMA-7B"] == "base"
    assert kinds["nvidia/Nemotron-Mini-4B-Instruct"] == kinds["arcee-ai/AFM-4.5B"] == "chat"
    assert not any("Instruct" in repo and kind == "base" for repo, kind in kinds.items())
    assert not any(repo.lower().endswith("base") and kind == "chat" for repo, kind in kinds.items())
