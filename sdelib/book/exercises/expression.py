"""A number as people type it: 0.25, 1.3×10^5, 3/4, sqrt(e), 8 - ln(2).

The page reads the same language (book/_static/answer.js), and tests/book/expressions.json holds
both to the same cases. Nothing is run as code; there is a small grammar:

    total   = product (("+" | "-") product)*
    product = signed (("*" | "/") signed | power)*      2π is a product; 1/2π is refused
    signed  = ("+" | "-") signed | power
    power   = atom ("^" signed)?
    atom    = number | "e" | "pi" | function "(" total ")" | "√" atom | "(" total ")"

A comma is the decimal mark or parts thousands; 1,234 can be read in two ways and is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

EXAMPLE = "type a number such as 0.25, 2.5e-3 or 1/4, or a formula such as sqrt(3)/2"
LONGEST = 60
CONSTANTS = {"e": math.e, "pi": math.pi, "π": math.pi}
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "ln": math.log,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
}
RAISED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
SIGNS: list[tuple[str, str | Callable]] = [
    (r"^[=≈~]\s*", ""),
    (r"[\u2212\u2010-\u2013\ufe63\uff0d]", "-"),
    (r"[\u2044\u2215\u00f7]", "/"),
    (r"[×·⋅∙]", "*"),
    (r"\*\*", "^"),
    (r"₁₀", "10"),
    (r"₂", "2"),
    (r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda hit: "^" + hit[0].translate(RAISED)),
    (r"(\d)\s*x\s*(?=10\s*\^)", r"\1*"),
    (r"(math|numpy|np|torch)\.(?=[a-z])", ""),
    (r"(\d)[\s'_]+(?=\d{3}(?!\d))", r"\1"),
]
TOKEN = re.compile(
    r"\s*(?:([\d.,]*\d[\d.,]*(?:e[-+]?\d+)?)(?!\w)"
    r"|([\d.,]*\d[\d.,]*)(?=[a-zπ])"  # 2π, 2sqrt(3)
    r"|(log10|log2|log|ln|exp|sqrt|pi|π|e)(?!\w)"
    r"|([-+*/^()√]))",
    re.ASCII,
)


class Unclear(ValueError):
    """What is typed is no number; the message says what to type."""


def plain(text: str) -> float:
    """A number without a sign, in one of the ways of writing it."""
    digits, _, power = text.partition("e")
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
        one, other = digits.replace(",", ""), digits.replace(",", ".")
        raise Unclear(f"“{digits}” can be read in two ways: type {one} or {other}.")
    if re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?", digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(r"[1-9]\d{0,2}(\.\d{3})+,\d*", digits):
        digits = digits.replace(".", "")
    digits = digits.replace(",", ".", 1)
    if not re.fullmatch(r"\d+\.?\d*|\.\d+", digits):
        raise Unclear(f"“{text}” is not a number: {EXAMPLE}.")
    return float(f"{digits}e{power or 0}")


def tokens(text: str) -> list[float | str]:
    """Numbers, names and signs.  Unclear where something else stands."""
    for pattern, sign in SIGNS:
        text = re.sub(pattern, sign, text, flags=re.ASCII)
    found: list[float | str] = []
    at = 0
    while at < len(text):
        hit = TOKEN.match(text, at)
        if not hit:
            raise Unclear(f"“{text[at:].strip()}” is not a number: {EXAMPLE}.")
        digits = hit[1] or hit[2]
        found.append(plain(digits) if digits else hit[3] or hit[4])
        at = hit.end()
    return found


class Reader:
    """The grammar, a method a line.  Whether a product had a bar or a power before is remembered:
    after one, what stands side by side can be read in two ways."""

    def __init__(self, text: str):
        self.text, self.tokens, self.at, self.careful = text, tokens(text), 0, False

    def next(self) -> float | str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *signs: str) -> str:
        """The next token, if it is one of these signs."""
        token = self.next()
        if not (isinstance(token, str) and token in signs):
            return ""
        self.at += 1
        return token

    def real(self, what: Callable[..., float], *values: float) -> float:
        """A value.  Unclear where it is no finite number."""
        try:
            result = what(*values)
        except OverflowError:
            result = math.inf
        except ValueError:
            result = math.nan
        if math.isnan(result):
            raise Unclear(f"“{self.text}” has no real value: {EXAMPLE}.")
        if math.isinf(result):
            raise Unclear(f"“{self.text}” is too large for a number: {EXAMPLE}.")
        return result

    def total(self) -> float:
        result = self.product()
        while sign := self.take("+", "-"):
            other = self.product()
            result = self.real(lambda a, b: a + b if sign == "+" else a - b, result, other)
        return result

    def beside(self) -> bool:
        """Does a factor follow without a sign, as in 2π?"""
        before, token = self.tokens[self.at - 1], self.next()
        ends = isinstance(before, float) or before == ")"
        return ends and token in ("pi", "π", "√", "(", *FUNCTIONS)

    def product(self) -> float:
        outside, self.careful = self.careful, False
        result = self.signed()
        while True:
            if self.take("*"):
                result = self.real(lambda a, b: a * b, result, self.signed())
            elif self.take("/"):
                self.careful, below = True, self.signed()
                if below == 0:
                    raise Unclear(f"Division by zero: {EXAMPLE}.")
                result = self.real(lambda a, b: a / b, result, below)
            elif self.beside():
                if self.careful:
                    raise Unclear(f"“{self.text}” can be read in two ways: write * where it is.")
                result = self.real(lambda a, b: a * b, result, self.power())
            else:
                self.careful = outside
                return result

    def signed(self) -> float:
        if self.take("-"):
            return -self.signed()
        return self.signed() if self.take("+") else self.power()

    def power(self) -> float:
        base = self.atom()
        if not self.take("^"):
            return base
        self.careful, exponent = True, self.signed()
        if base == 0 and exponent < 0:
            raise Unclear(f"Division by zero: {EXAMPLE}.")
        return self.real(math.pow, base, exponent)

    def atom(self) -> float:
        token = self.next()
        self.at += 1
        if not isinstance(token, str):
            return self.real(lambda a: a, token)
        if token in CONSTANTS:
            return CONSTANTS[token]
        if token == "√":
            return self.real(math.sqrt, self.atom())
        if token == "(" or (token in FUNCTIONS and self.take("(")):
            inside = self.total()
            if not self.take(")"):
                raise Unclear(f"“{self.text}” lacks a closing parenthesis.")
            return inside if token == "(" else self.real(FUNCTIONS[token], inside)
        raise Unclear(f"“{self.text}” is not a number: {EXAMPLE}.")


def value(text: str) -> float:
    """The number that is typed.  Unclear, a ValueError that says what to type, where there is
    none."""
    tidy = text.strip()
    if not tidy:
        raise Unclear(f"Nothing is typed yet: {EXAMPLE}.")
    if len(tidy) > LONGEST:
        raise Unclear(f"That is longer than {LONGEST} characters: {EXAMPLE}.")
    reader = Reader(re.sub(r"\s", " ", tidy.lower()))
    result = reader.total()
    if reader.at < len(reader.tokens):
        raise Unclear(f"“{tidy}” is not a number: {EXAMPLE}.")
    return result
