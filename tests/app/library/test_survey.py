import pytest

from app.library.survey import repository_in


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("  facebook/opt-1.3b ", "facebook/opt-1.3b"),
        ("https://huggingface.co/facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("https://huggingface.co/facebook/opt-1.3b/tree/main?x=1", "facebook/opt-1.3b"),
        ("hf.co/facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("http://127.0.0.1:8080/tiny/opt", "tiny/opt"),
        ("opt", None),
        ("", None),
        ("../../etc/passwd", None),
        ("a b/c", None),
    ],
)
def test_a_name_or_a_link(text, repo):
    assert repository_in(text) == repo
