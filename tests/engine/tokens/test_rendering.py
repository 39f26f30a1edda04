"""Templates with the oddities that are known, rendered as transformers itself renders them: `apply_chat_template`."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from engine.errors import TemplateError
from engine.settings import GenerationOptions
from engine.tokens.forms import forms
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.families import ANSWER, NAMES, REASONING, TOOLS, Family
from tests.helpers.tokenizers import tokenizer_of_kind, write_tokenizer_files

CONFIG = {"model_type": "llama"}
SYSTEM = {"role": "system", "content": " Be <brief> & 'kind'. "}
QUESTION = {"role": "user", "content": "Hello\n  there 你好 🦙\n"}
REPLY = {"role": "assistant", "content": ANSWER}
THOUGHT = {"thinking": REASONING, **REPLY, "reasoning_content": REASONING}  # in the order of transformers
AGAIN = {"role": "user", "content": "  And 2 + 2?"}
TALKS = {
    "asked": [QUESTION],
    "told": [SYSTEM, QUESTION],
    "answered": [SYSTEM, QUESTION, REPLY, AGAIN],
    "thought": [QUESTION, THOUGHT, AGAIN],
    "asked twice": [QUESTION, AGAIN],
    "answered first": [REPLY, QUESTION],
    "told later": [QUESTION, REPLY, SYSTEM, AGAIN],
}


class Odd:
    """A template in a model's folder, as it is read here and by transformers."""

    def __init__(self, folder):
        self.ours, self.theirs = read_tokenizer(folder, CONFIG), AutoTokenizer.from_pretrained(folder)

    def rendered(self, messages, **variables):
        return self.ours.template.render(messages, 100_000, **variables)

    def expected(self, messages, **variables):
        return self.theirs.apply_chat_template(messages, tokenize=False, **variables)

    def agree(self, messages, **variables):
        """True where both render the same; False where both refuse."""
        try:
            expected = self.expected(messages, **variables)
        except Exception:
            with pytest.raises(TemplateError):
                self.rendered(messages, **variables)
            return False
        assert self.rendered(messages, **variables) == expected
        return True


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory):
    """A family's template in the form of its makers."""
    folder = tmp_path_factory.mktemp("families") / request.param
    Family(request.param, "words", folder)
    return Odd(folder)


@pytest.mark.parametrize("prompted", [True, False])
def test_families_templates_render_as_transformers_renders_them(family, prompted):
    taken = [family.agree(talk, add_generation_prompt=prompted) for talk in TALKS.values()]
    assert taken[0]
    for thinking in (True, False):
        family.agree(TALKS["thought"], add_generation_prompt=prompted, enable_thinking=thinking, thinking=thinking)


def test_what_a_template_refuses_is_told_in_a_form_that_it_takes_and_encoded_as_transformers_encodes_it(family):
    """System texts before the first question, and turns of one side together."""
    for talk in TALKS.values():
        taken = next(form for form in forms(talk) if family.agree(form, add_generation_prompt=True))
        ours = Conversation(family.ours, talk, GenerationOptions()).tokens(talk)
        theirs = family.theirs.apply_chat_template(taken, add_generation_prompt=True, return_dict=False)
        assert family.ours.decode(ours) == family.theirs.decode(theirs)
        assert ours.count(family.ours.wrapper.bos_token_id) == theirs.count(family.theirs.bos_token_id)


ODDITIES = sorted((Path(__file__).parent / "oddities").glob("*.jinja"))


def test_there_are_ten_oddities_and_more():
    assert len(ODDITIES) > 10


@pytest.mark.parametrize("path", ODDITIES, ids=lambda path: path.stem)
def test_odd_templates_render_or_fail_as_transformers_has_them(tmp_path, path):
    source = path.read_bytes().decode()
    odd = Odd(write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), source))
    for talk in TALKS.values():
        odd.agree(talk, add_generation_prompt=True)
        odd.agree(talk)


NAMED = {"default": "default {{ messages[0].content }}", "tool_use": "tools {{ tools | tojson }}", "rag": "rag"}


def in_config(folder):
    write_tokenizer_files(
        folder, tokenizer_of_kind("byte-level"), [{"name": n, "template": t} for n, t in NAMED.items()]
    )


def in_files(folder):
    write_tokenizer_files(folder, tokenizer_of_kind("byte-level"), None)
    (folder / "chat_template.jinja").write_text(NAMED["default"])
    (folder / "additional_chat_templates").mkdir()
    for name in ("tool_use", "rag"):
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(NAMED[name])


@pytest.mark.parametrize("write", [in_config, in_files])
def test_of_several_templates_the_one_for_tools_is_used_where_there_are_tools(tmp_path, write):
    write(tmp_path / "model")
    odd = Odd(tmp_path / "model")
    tools = list(TOOLS)
    assert odd.agree([QUESTION])
    assert odd.agree([QUESTION], tools=tools)
    assert odd.rendered([QUESTION], tools=tools).startswith("tools")
    assert odd.rendered([QUESTION]).startswith("default")


@pytest.mark.parametrize("place", ["chat_template.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_template_means_the_same_wherever_it_is_kept(tmp_path, place):
    source = "{{ bos_token }}{% for m in messages %}\n{{ m.content }}{% endfor %}"
    given = source if place == "tokenizer_config.json" else None
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), given)
    if place == "chat_template.json":  # of processors, as older conversions have them
        (folder / place).write_text(json.dumps({"chat_template": source}))
        theirs = AutoTokenizer.from_pretrained(folder)
        expected = theirs.apply_chat_template([QUESTION], chat_template=source, tokenize=False)
        assert read_tokenizer(folder, CONFIG).template.render([QUESTION], 1000) == expected
    else:
        if place == "chat_template.jinja":
            (folder / place).write_text(source)
        assert Odd(folder).agree([QUESTION])


@pytest.mark.parametrize("written", [True, False])
def test_the_beginning_of_text_stands_there_once_whether_the_template_writes_it_or_not(tmp_path, written):
    source = ("{{ bos_token }}" if written else "") + "{% for m in messages %}{{ m.content }}{% endfor %}"
    odd = Odd(write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), source, add_bos_token=True))
    ours = Conversation(odd.ours, [AGAIN], GenerationOptions()).tokens([AGAIN])
    assert ours == odd.theirs.apply_chat_template([AGAIN], return_dict=False)
    assert ours.count(0) == written
