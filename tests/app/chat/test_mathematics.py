import pytest

from app.chat.mathematics import INDENT, legible, readable


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"x^2 + y_1 \leq \alpha", "x² + y₁ ≤ α"),
        (r"\frac{a+b}{2}", "(a+b)/2"),
        (r"\frac{1}{\sqrt{2\pi}}", "1/(√(2π))"),
        (r"\sqrt{x}", "√x"),
        (r"e^{-x^2}", "e^(-x²)"),
        (r"10^{-3}", "10⁻³"),
        (r"\text{speed} = \mathbf{v} \times t", "speed = v × t"),
        (r"\sum_{i=1}^{n} i", "∑ᵢ₌₁ⁿ i"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b c = d"),
        (r"\left( x \right)", "( x )"),
        (r"\unknown{x}", "unknown x"),
        (r"50\%", "50%"),
        ("a_{", "a_"),
    ],
)
def test_formulas_are_readable(formula, text):
    assert readable(formula) == text


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        (r"So \(x^2\) is it", "So x² is it"),
        ("Then $x = 3$.", "Then x = 3."),
        ("It costs $5 and $10.", "It costs $5 and $10."),
        ("from $HOME to $PATH", "from $HOME to $PATH"),
        (r"$a*b_c$ and *this*", r"a\*b\_c and *this*"),
        ("$$E = mc^2$$", f"\n\n{INDENT}E = mc²\n\n"),
        ("\\[\nx\n\\]", f"\n\n{INDENT}x\n\n"),
        ("设$x^2$为未知数。", "设x²为未知数。"),
        ("函数$f(x)=2x$，其中", "函数f(x)=2x，其中"),
        ("값$x$는", "값x는"),
        ("ค่า$x^2$คือ", "ค่าx²คือ"),
        ("售价从$5到$8之间", "售价从$5到$8之间"),
        ("花了$5，还剩$很少", "花了$5，还剩$很少"),
        (r"\( never ends, $$ nor this, \[ nor that", r"\( never ends, $$ nor this, \[ nor that"),
        (r"\\(x\\)", r"\\(x\\)"),
        ("no formula \\* here", "no formula \\* here"),
    ],
)
def test_formulas_in_markdown(markdown, shown):
    assert legible(markdown) == shown
