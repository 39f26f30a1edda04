"""Programs that ask a server at once, each with an official client, and leave now and then."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import islice

import anthropic
import httpx
import ollama
import openai

MAX_TOKENS = 10  # of an answer
HASTY_SHARE, LEAVES_SHARE = 0.1, 0.4  # of the questions: up to here, answers are not waited for, or not to the end
HASTE_S = 0.02
LEFT_IN_TIME = (openai.APITimeoutError, anthropic.APITimeoutError, httpx.TimeoutException)
Question = tuple[str, str]  # model and words
QUESTIONS = (  # to the starter and the tiny model of `write_talker`: each has an answer of its own
    ("starter", "I have two dogs."),
    ("starter", "What is your name?"),
    ("starter", "Do you like music?"),
    ("tiny/moe", "What is your name?"),
    ("tiny/moe", "Do you like music?"),
    ("tiny/moe", "I play the guitar in a band."),
)


def hello(text: str = "Do you like music?") -> list:
    """A conversation."""
    return [{"role": "user", "content": text}]


def of_openai(address: str) -> tuple[object, Callable]:
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    def ask(model: str, text: str, timeout: float | None) -> Iterator[str]:
        told = client.chat.completions.create(
            model=model, messages=hello(text), temperature=0, max_tokens=MAX_TOKENS, stream=True, timeout=timeout
        )
        with told:
            for chunk in told:
                yield (chunk.choices[0].delta.content or "") if chunk.choices else ""

    return client, ask


def of_anthropic(address: str) -> tuple[object, Callable]:
    client = anthropic.Anthropic(base_url=address, api_key="none", max_retries=0)

    def ask(model: str, text: str, timeout: float | None) -> Iterator[str]:
        with client.messages.stream(
            model=model, messages=hello(text), max_tokens=MAX_TOKENS, extra_body={"temperature": 0}, timeout=timeout
        ) as told:
            yield from told.text_stream

    return client, ask


def of_ollama(address: str) -> tuple[object, Callable]:
    client, hasty = ollama.Client(host=address), ollama.Client(host=address, timeout=HASTE_S)
    client.hasty = hasty  # whose timeout belongs to all that it asks

    def ask(model: str, text: str, timeout: float | None) -> Iterator[str]:
        options = {"temperature": 0, "num_predict": MAX_TOKENS}
        told = (hasty if timeout else client).chat(model, messages=hello(text), options=options, stream=True)
        with closing(told):
            for part in told:
                yield part.message.content or ""

    return client, ask


CLIENTS = (of_openai, of_anthropic, of_ollama)


class Program(threading.Thread):
    """A program that asks again and again. wrong: answers that are not its own. expected: by question."""

    def __init__(self, address: str, number: int, expected: Mapping[Question, str], until: float):
        super().__init__(name=f"program {number}")
        self.wrong: list[tuple[Question, str, str]] = []
        self.answered = self.left = 0
        self.error: BaseException | None = None
        self._random, self._expected, self._until = random.Random(number), expected, until
        self._client, self._asks = CLIENTS[number % len(CLIENTS)](address)

    def run(self) -> None:
        try:
            while time.monotonic() < self._until:
                self._ask(self._random.choice(list(self._expected)))
        except BaseException as error:
            self.error = error
        finally:
            for client in (self._client, getattr(self._client, "hasty", self._client)):
                client.close()

    def _ask(self, question: Question) -> None:
        """Hear all of an answer, or its beginning, or wait for it for no more than a moment."""
        way, expected = self._random.random(), self._expected[question]
        if way < HASTY_SHARE:
            with suppress(*LEFT_IN_TIME):
                self._hear(question, HASTE_S)
            self.left += 1
        elif way < LEAVES_SHARE:
            said = self._hear(question, None, self._random.randrange(6))
            self.left += 1
            self._hold(expected.startswith(said), question, said)
        else:
            said = self._hear(question, None)
            self.answered += 1
            self._hold(said == expected, question, said)

    def _hear(self, question: Question, timeout: float | None, parts: int | None = None) -> str:
        """An answer, or so many parts of it."""
        with closing(self._asks(*question, timeout)) as told:
            return "".join(islice(told, parts))

    def _hold(self, right: bool, question: Question, said: str) -> None:
        if not right:
            self.wrong.append((question, said, self._expected[question]))


def right_answers(address: str) -> dict[Question, str]:
    """The answers to all questions, while nothing else is asked."""
    client, ask = of_openai(address)
    with closing(client):
        answers = {question: "".join(ask(*question, None)) for question in QUESTIONS}
    assert len(set(answers.values())) == len(QUESTIONS), answers
    return answers


def let_programs_ask(address: str, count: int, expected: Mapping[Question, str], seconds: float) -> list[Program]:
    """Programs that have asked for so long. None of them is left."""
    programs = [Program(address, number, expected, time.monotonic() + seconds) for number in range(count)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(seconds + 120)
        assert not program.is_alive(), program.name
    errors = [repr(program.error) for program in programs if program.error]
    wrong = [each for program in programs for each in program.wrong]
    assert not errors + wrong, errors + wrong
    return programs
