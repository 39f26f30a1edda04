"""Chat templates: what they render to, and what those that go wrong cost."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from engine.errors import CancelledError, TemplateError
from engine.system.helper import Helper
from engine.tokens.templates import ChatTemplate, renderer

MOST = 100_000
TALK = [
    {"role": "system", "content": "Be <brief> & 'kind'."},
    {"role": "user", "content": "Hello\n  there 你好 🦙"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "What is 2 + 2?"},
]
LOOP = "{% for a in range(99999) %}\n{% for b in range(99999) %}{% endfor %}{% endfor %}"


def rendered(source, messages=TALK, most=MOST, cancelled=None, **variables):
    return ChatTemplate(source, "chat_template.jinja", {"bos_token": "<s>"}).render(
        messages, most, cancelled, **variables
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m.content | trim }}{{ '\\n' }}{% endfor %}",
        "{%- for message in messages %}\n  {%- if loop.first %}x{% endif %}\n{{ message | tojson }}\n{%- endfor %}\n",
        "{{ messages | tojson(indent=2) }}",
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}{{ m.role }}{% endfor %}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        "{% set ns = namespace(last='') %}{% for m in messages %}{% set ns.last = m.role %}{% endfor %}{{ ns.last }}",
        "{% macro say(m) %}<{{ m.role }}>{{ m.content }}{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
        "{{ strftime_now('%Y') }} {{ messages[0]['content'].split()[0] }} {{ dict(a=1).items() | list }}",
        "{% if tools %}tools{% endif %}{{ documents is none }}{% if add_generation_prompt %}<go>{% endif %}",
        "{% if not thinking is defined %}{% set thinking = false %}{% endif %}{{ thinking }}{{ undefined_one }}",
        "{%- set names = messages | map(attribute='role') | list %}{{ names | join(', ') }}{{ names[::-1] }}",
    ],
)
def test_templates_render_as_transformers_renders_them(source):
    variables = {"bos_token": "<s>", "add_generation_prompt": True}
    expected, _ = render_jinja_template([TALK], chat_template=source, **variables)
    assert rendered(source, **variables) == expected[0]


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (LOOP, 2, "does not come to an end"),
        ("\n{{ 'a' * 3000000000 }}", 2, "takes too much memory"),
        ("\n\n{% set x = 'a' | center(3000000000) %}", 3, "takes too much memory"),
        ("{{ '%2000000000d' % 3 }}", 1, "takes too much memory"),
        (
            "{% set ns = namespace(x=[1]) %}\n{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            2,
            "memory",
        ),
        ("{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}", 2, "calls itself without an end"),
        ("{{ '(' }}" + "{{" + "(" * 3000 + ")" * 3000 + "}}", 0, "calls itself without an end"),
        (
            "{% for a in range(99999) %}\nmore{% for b in range(99999) %}more{% endfor %}{% endfor %}",
            2,
            "writes without",
        ),
        ("\n\n{{ raise_exception('Only users.') }}", 3, "Only users"),
        ("{% for m in messages %}\n{{ m.content }}", 2, "end of template"),
        ("\n{{ messages[9].content.text }}", 2, "element 9"),
        ("{{ ().__class__.__bases__ }}", 1, "unsafe"),
        ("{{ messages.append(1) }}", 1, "unsafe"),
        ("{% include 'other' %}", 1, "no loader"),
    ],
)
def test_a_template_that_fails_is_one_line_with_its_own_line(source, line, reason):
    with pytest.raises(TemplateError, match=reason) as caught:
        rendered(source)
    assert caught.value.line == line
    assert "chat_template.jinja" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert rendered("{{ messages | length }}") == "4"


def test_what_a_template_says_of_itself_is_shown_as_one_printable_line():
    with pytest.raises(TemplateError) as caught:
        rendered("{{ raise_exception('a\\n\\x1b[31mred' ~ 'x' * 9999) }}")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_template_that_loops_is_cancelled_at_once():
    cancelled = threading.Event()
    rendered("warm")
    timer = threading.Timer(0.2, cancelled.set)
    timer.start()
    with pytest.raises(CancelledError):
        rendered(LOOP, cancelled=cancelled)
    timer.join()
    assert rendered("{{ messages | length }}") == "4"


def test_a_large_conversation_comes_back_whole():
    text = "0123456789" * 300_000
    assert rendered("{{ messages[0].content }}", [{"role": "user", "content": text}], most=4_000_000) == text


def test_a_template_cannot_write_files_or_read_what_it_was_not_given():
    assert rendered("{{ self._TemplateReference__context is defined }}{{ environ is defined }}") == "FalseFalse"


def test_the_helper_starts_again_when_it_was_ended():
    renderer.close()
    own = Helper("engine.tokens.rendering")
    try:
        request = {"template": "{{ x }}", "variables": {"x": 1}, "most": 10}
        assert own.ask(request) == {"text": "1"}
        for child in children(os.getpid()):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.1)
        assert own.ask(request) == {"text": "1"}
    finally:
        own.close()
    assert not children(os.getpid())


def test_no_helper_is_left_when_its_user_ends():
    """Also where that one is killed, in the middle of a template that does not end."""
    program = (
        "from engine.tokens.templates import ChatTemplate, renderer\n"
        "import os, subprocess, threading\n"
        "renderer.warm()\n"
        f"template = ChatTemplate({LOOP!r}, 'x', {{}})\n"
        "threading.Thread(target=lambda: template.render([], 10), daemon=True).start()\n"
        "print('begun', flush=True)\n"
        "input()\n"
    )
    user = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with user:
        user.stdout.readline()
        (helper,) = children(user.pid)
        user.kill()
    until = time.monotonic() + 20
    while alive(helper) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(helper)


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    return [int(row[0]) for row in rows if int(row[1]) == parent and "engine.tokens.rendering" in row[2]]


def alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


@pytest.mark.parametrize(
    ("source", "controls"),
    [
        ("{%- if enable_thinking is defined and enable_thinking is false %}x{% endif %}", {"enable_thinking"}),
        ("{% if not thinking is defined %}{% set thinking = false %}{% endif %}", {"enable_thinking"}),
        ("{{ 'Reasoning: ' + reasoning_effort }}", {"reasoning_effort"}),
        ("{{ message.thinking }} enable_thinking {{ 'reasoning_effort' }} {{ message['thinking'] }}", set()),
        ("{{ rethinking }}", set()),
        ("{% set ns = namespace(enable_thinking=true) %}{{ ns.enable_thinking }}", set()),
        ("{% set thinking = true %}{{ thinking }}", set()),
        ("{% macro said(thinking) %}{{ thinking }}{% endmacro %}{{ said(1) }}", set()),
        ("{% for thinking in messages %}{{ thinking }}{% endfor %}", set()),
        ("{% if thinking %}", set()),  # one that is none cannot be asked
    ],
)
def test_the_options_of_reasoning_that_a_template_knows(source, controls):
    assert ChatTemplate(source, "here", {}).controls == controls
