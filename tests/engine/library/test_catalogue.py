"""The catalogue: what it says of each model."""

from engine.library.addresses import is_repository
from engine.library.catalogue import DESCRIPTIONS, catalogue
from engine.models import is_supported


def test_the_catalogue_names_the_source_of_each_figure():
    models = catalogue()
    assert len({model["repo"] for model in models}) == len(models)
    for model in models:
        assert is_repository(model["repo"])
        assert model["supported"] == is_supported(model["model_type"])
        for figure in ("parameters", "bytes", "sparsity", "licence"):
            assert (model[figure] is None) or model["sources"][figure]
        assert "repo" in model["sources"] or not model["as_it_is"]
    assert next(model for model in models if model["repo"] == "facebook/opt-6.7b")["supported"]


def test_each_model_says_what_it_is_for_and_how_much_is_downloaded():
    models = catalogue()
    assert {model["family"] for model in models} == DESCRIPTIONS.keys()
    for model in models:
        assert model["kind"] in ("base", "chat")
        assert model["description"].endswith(".")
        a_parameter = 0.5625 if model["as_it_is"] else 2
        assert model["download_bytes"] == (model["bytes"] or int(a_parameter * model["parameters"]))


def test_what_people_ask_for_runs_as_it_is_and_comes_first():
    models = catalogue()
    as_they_are = [model for model in models if model["as_it_is"]]
    assert models[: len(as_they_are)] == as_they_are
    assert all(model["supported"] and model["kind"] == "chat" for model in as_they_are)
    names = " ".join(model["repo"] for model in as_they_are)
    for asked in ("Qwen3.6-35B-A3B", "gpt-oss-20b", "gpt-oss-120b", "gemma-4-26b-a4b", "GLM-4.5-Air", "Qwen3-Next-80B"):
        assert asked in names


def test_what_was_trained_to_answer_is_told_from_what_continues_a_text():
    kinds = {model["repo"]: model["kind"] for model in catalogue()}
    assert kinds["facebook/opt-6.7b"] == kinds["SparseLLM/ReluLLaMA-7B"] == "base"
    assert kinds["nvidia/Nemotron-Mini-4B-Instruct"] == kinds["arcee-ai/AFM-4.5B"] == "chat"
    assert not any("Instruct" in repo and kind == "base" for repo, kind in kinds.items())
    assert not any(repo.lower().endswith("base") and kind == "chat" for repo, kind in kinds.items())
