r"""LaTeX formulas as legible text: `\(x^2 \leq \alpha\)` becomes x² ≤ α. No Qt.

Not a typesetter: what it does not know stays as it was written, without the backslash.
"""

import re

# $..$ only where it cannot be money: no space inside the signs, no digit after them.
INLINE = r"\\\((.+?)\\\)|(?<![\w$\\])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\d\w$])"
SPAN = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|" + INLINE, re.DOTALL)
TABLE = """
alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ sigma σ
tau τ upsilon υ phi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω
varepsilon ε varphi φ vartheta ϑ ell ℓ hbar ℏ partial ∂ nabla ∇ times × cdot · div ÷ pm ± mp ∓ ast ∗ circ ∘ oplus ⊕
otimes ⊗ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ equiv ≡ sim ∼ ll ≪ gg ≫ propto ∝ infty ∞ sum ∑ prod ∏ int ∫ in ∈
notin ∉ subset ⊂ subseteq ⊆ cup ∪ cap ∩ emptyset ∅ forall ∀ exists ∃ neg ¬ land ∧ lor ∨ to → rightarrow → leftarrow ←
Rightarrow ⇒ implies ⇒ Leftrightarrow ⇔ iff ⇔ mapsto ↦ ldots … cdots ⋯ dots … degree ° langle ⟨ rangle ⟩ lfloor ⌊
rfloor ⌋ lceil ⌈ rceil ⌉ mid | therefore ∴
"""
SYMBOLS = TABLE.split()
NAMES = dict(zip(SYMBOLS[::2], SYMBOLS[1::2], strict=True)) | {"quad": "  ", "qquad": "    "}
NAMES |= dict.fromkeys(("left", "right", "displaystyle", "limits", "big", "Big"), "")
UPPER = dict(zip("0123456789+-=()nixyabcdefghjklmoprstuvwz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷᶻ", strict=True))
LOWER = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
DEEPEST = 6  # levels of groups in groups
INDENT = "\u2003\u2003"  # before a formula that stands on a line of its own


def legible(markdown: str) -> str:
    """Markdown whose formulas are replaced by text that says the same."""
    if "$" not in markdown and "\\" not in markdown:
        return markdown
    return SPAN.sub(_replacement, markdown)


def _replacement(match: re.Match) -> str:
    formula = next(group for group in match.groups() if group is not None)
    text = _escaped(readable(formula))
    return f"\n\n{INDENT}{text}\n\n" if match[1] is not None or match[2] is not None else text


def readable(formula: str) -> str:
    """One formula as text."""
    text = re.sub(r"\\(?:begin|end)\{\w+\*?\}", "", formula)
    for _ in range(DEEPEST):
        before = text
        text = re.sub(r"\\[dt]?frac\s*" + GROUP + r"\s*" + GROUP, _fraction, text)
        text = re.sub(r"\\sqrt\s*\[(\w)\]\s*" + GROUP, lambda m: UPPER.get(m[1], m[1]) + "√" + _wrapped(m[2]), text)
        text = re.sub(r"\\sqrt\s*" + GROUP, lambda m: "√" + _wrapped(m[1]), text)
        text = re.sub(
            r"\\(?:text|mathrm|mathbf|mathit|mathcal|mathbb|operatorname|boxed|vec|hat|bar)\s*" + GROUP, r"\1", text
        )
        if text == before:
            break
    text = re.sub(r"\\([A-Za-z]+)(\s?)", lambda m: NAMES.get(m[1], m[1]) + (m[2] or " " * (m[1] not in NAMES)), text)
    text = re.sub(r"\^\s*(?:" + GROUP + r"|(\S))", lambda m: _raised(m[1] or m[2] or "", UPPER, "^"), text)
    text = re.sub(r"_\s*(?:" + GROUP + r"|(\S))", lambda m: _raised(m[1] or m[2] or "", LOWER, "_"), text)
    text = re.sub(r"\\\\|&", " ", text)
    text = re.sub(r"\\[,;:! ]", " ", text)
    return " ".join(re.sub(r"\\([{}%$#_&])", r"\1", re.sub(r"(?<!\\)[{}]", "", text)).split())


def _fraction(match: re.Match) -> str:
    return f"{_wrapped(match[1])}/{_wrapped(match[2])}"


def _wrapped(text: str) -> str:
    return text if re.fullmatch(r"\\?\w+", text.strip()) else f"({text})"


def _raised(text: str, table: dict[str, str], sign: str) -> str:
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    return f"{sign}({readable(text)})" if len(text) > 1 else f"{sign}{text}"


def _escaped(text: str) -> str:
    """So that Markdown takes it as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", text)
