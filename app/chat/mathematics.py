r"""LaTeX formulas as legible text: `\(x^2 \leq \alpha\)` becomes x² ≤ α. No Qt.

Not a typesetter: what it does not know stays as it was written, without the backslash.
"""

import re

from app.chat.scripts import is_unspaced

SIGN = re.compile(r"\$\$|\$|\\[()\[\]]|\\.", re.DOTALL)
CLOSERS = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
DISPLAY_OPENERS = ("$$", "\\[")
SYMBOL_TABLE = """
alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ sigma σ
tau τ upsilon υ phi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω
varepsilon ε varphi φ vartheta ϑ ell ℓ hbar ℏ partial ∂ nabla ∇ times × cdot · div ÷ pm ± mp ∓ ast ∗ circ ∘ oplus ⊕
otimes ⊗ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ equiv ≡ sim ∼ ll ≪ gg ≫ propto ∝ infty ∞ sum ∑ prod ∏ int ∫ in ∈
notin ∉ subset ⊂ subseteq ⊆ cup ∪ cap ∩ emptyset ∅ forall ∀ exists ∃ neg ¬ land ∧ lor ∨ to → rightarrow → leftarrow ←
Rightarrow ⇒ implies ⇒ Leftrightarrow ⇔ iff ⇔ mapsto ↦ ldots … cdots ⋯ dots … degree ° langle ⟨ rangle ⟩ lfloor ⌊
rfloor ⌋ lceil ⌈ rceil ⌉ mid | therefore ∴
"""
SYMBOLS = SYMBOL_TABLE.split()
NAMES = dict(zip(SYMBOLS[::2], SYMBOLS[1::2], strict=True)) | {"quad": "  ", "qquad": "    "}
NAMES |= dict.fromkeys(("left", "right", "displaystyle", "limits", "big", "Big"), "")
SUPERSCRIPTS = dict(
    zip("0123456789+-=()nixyabcdefghjklmoprstuvwz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷᶻ", strict=True)
)
SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
MAX_DEPTH = 6  # levels of groups in groups
INDENT = "\u2003\u2003"  # before a formula that stands on a line of its own


def legible(markdown: str) -> str:
    """Markdown whose formulas are replaced by text that says the same. One pass, however many signs have no end."""
    if "$" not in markdown and "\\" not in markdown:
        return markdown
    signs = list(SIGN.finditer(markdown))
    later = _next_alike(signs)
    pieces, done = [], 0
    for number, sign in enumerate(signs):
        close = signs[later[number]] if later[number] else None
        if sign.start() < done or close is None or not _is_formula(markdown, sign, close):
            continue
        pieces += [markdown[done : sign.start()], _replacement(sign[0], markdown[sign.end() : close.start()])]
        done = close.end()
    return "".join([*pieces, markdown[done:]])


def _next_alike(signs: list[re.Match[str]]) -> list[int]:
    """The number of the sign that would close each; 0 for none."""
    latest: dict[str, int] = {}
    found = [0] * len(signs)
    for number in range(len(signs) - 1, -1, -1):
        found[number] = latest.get(CLOSERS.get(signs[number][0], ""), 0)
        latest[signs[number][0]] = number
    return found


def _is_formula(text: str, sign: re.Match[str], close: re.Match[str]) -> bool:
    """$..$ only where it cannot be money: no space inside the signs, and no word or digit that touches them outside.

    Letters of a script without spaces touch everything; then what is inside must not be such words itself.
    """
    formula = text[sign.end() : close.start()]
    if sign[0] != "$":
        return bool(formula.strip())
    before = text[max(0, sign.start() - 1) : sign.start()]
    after = text[close.end() : close.end() + 1]
    if not formula or formula[0].isspace() or formula[-1].isspace() or "\n" in formula or "$" in formula:
        return False
    if _is_word(before) or _is_word(after) or before == "$" or after == "$":
        return False
    touched = is_unspaced(before) or is_unspaced(after)
    return not touched or "\\" in formula or not any(map(is_unspaced, formula))


def _is_word(character: str) -> bool:
    return (character.isalnum() or character == "_") and not is_unspaced(character)


def _replacement(sign: str, formula: str) -> str:
    text = _escaped(readable(formula))
    return f"\n\n{INDENT}{text}\n\n" if sign in DISPLAY_OPENERS else text


def readable(formula: str) -> str:
    """One formula as text."""
    text = re.sub(r"\\(?:begin|end)\{\w+\*?\}", "", formula)
    for _ in range(MAX_DEPTH):
        before = text
        text = re.sub(r"\\[dt]?frac\s*" + GROUP + r"\s*" + GROUP, _fraction, text)
        text = re.sub(r"\\sqrt\s*\[(\w)\]\s*" + GROUP, _root, text)
        text = re.sub(r"\\sqrt\s*" + GROUP, lambda m: "√" + _wrapped(m[1]), text)
        text = re.sub(
            r"\\(?:text|mathrm|mathbf|mathit|mathcal|mathbb|operatorname|boxed|vec|hat|bar)\s*" + GROUP, r"\1", text
        )
        if text == before:
            break
    text = re.sub(r"\\([A-Za-z]+)(\s?)", lambda m: NAMES.get(m[1], m[1]) + (m[2] or " " * (m[1] not in NAMES)), text)
    text = re.sub(r"\^\s*(?:" + GROUP + r"|(\S))", lambda m: _raised(m[1] or m[2] or "", SUPERSCRIPTS, "^"), text)
    text = re.sub(r"_\s*(?:" + GROUP + r"|(\S))", lambda m: _raised(m[1] or m[2] or "", SUBSCRIPTS, "_"), text)
    text = re.sub(r"\\\\|&", " ", text)
    text = re.sub(r"\\[,;:! ]", " ", text)
    return " ".join(re.sub(r"\\([{}%$#_&])", r"\1", re.sub(r"(?<!\\)[{}]", "", text)).split())


def _fraction(match: re.Match[str]) -> str:
    return f"{_wrapped(match[1])}/{_wrapped(match[2])}"


def _root(match: re.Match[str]) -> str:
    return f"{SUPERSCRIPTS.get(match[1], match[1])}√{_wrapped(match[2])}"


def _wrapped(text: str) -> str:
    return text if re.fullmatch(r"\\?\w+", text.strip()) else f"({text})"


def _raised(text: str, table: dict[str, str], sign: str) -> str:
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    return f"{sign}({readable(text)})" if len(text) > 1 else f"{sign}{text}"


def _escaped(text: str) -> str:
    """So that Markdown takes it as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", text)
