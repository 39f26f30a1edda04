"""`flashbulb serve` in a process of its own, and models for it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY

ROOT = Path(__file__).parents[2]
ENDING_S = 30
HOME_NAMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME")
HERMES = (  # a chat template that tells of tools, and how they are called
    "{% if tools %}<|im_start|>system\nYou may call <tool_call>{{ tools | tojson }}</tool_call><|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Serving:
    """The process. address: without a path."""

    def __init__(self, home: Path, *arguments: str, **environment: str):
        self._errors = home / "errors.txt"
        command = [sys.executable, "-W", "error", "-m", "app", "serve", "--port", "0", *arguments]
        given = os.environ | dict.fromkeys(HOME_NAMES, str(home)) | {"FLASHBULB_MODELS": str(home / "models")}
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=given | environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        line = self.process.stdout.readline()
        assert "http://" in line, self.said()
        self.address = "http://" + line.rpartition("http://")[2].split(". ")[0]

    def end(self) -> str:
        """Ask it to end, and wait; what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)  # Ctrl-C's is ignored by what a shell started in the background
        status = self.process.wait(ENDING_S)
        self.process.stdout.close()
        assert status == 130, self.said()
        return self.said()

    def said(self) -> str:
        """All that it wrote to standard error so far."""
        return self._errors.read_text()


def write_talker(folder: Path, **config: object) -> Path:
    """A tiny mixture of experts with random weights that reads and writes text, and knows how tools are called."""
    write_moe(folder, **config)
    write_tokenizer(folder, VOCABULARY)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": HERMES}))
    return folder
