"""Evaluation items of the category math, made from templates.

Eight templates, from one-step sums to equations. Every answer is computed from the numbers drawn.
No two items share an answer, and no answer is among the numbers of its own prompt, so neither a constant nor
an echo passes.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_NAMES = ("Aisha", "Bruno", "Carla", "Dmitri", "Elif", "Femi", "Greta", "Hiro", "Ines", "Jonah", "Keiko")
_THINGS = ("stamps", "marbles", "postcards", "shells", "stickers", "buttons", "walnuts", "coins", "beads")
_NUMBER_ONLY = " Answer with a number only."
_WITH_STEPS = ' Show the steps in a few words and end with "Answer:" and the number.'


@dataclass(frozen=True)
class _Draw:
    """One draw of a template: the prompt, the exact answer, and the answer as a good student puts it."""

    prompt: str
    value: Fraction
    reference: str
    difficulty: str


def items(rng: random.Random) -> list[dict[str, Any]]:
    """Return the fifty template items, the same ones for the same state of `rng`."""
    drawn: list[dict[str, Any]] = []
    used_values: set[Fraction] = set()
    for template, count, draw in _TEMPLATES:
        for _ in range(count):
            made = _draw_fresh(rng, draw, used_values)
            used_values.add(made.value)
            drawn.append(_as_item(len(drawn) + 1, template, made))
    return drawn


def _draw_fresh(rng: random.Random, draw: Callable[[random.Random], _Draw], used: set[Fraction]) -> _Draw:
    """Draw until the answer is new and is not already a number of the prompt."""
    while True:
        made = draw(rng)
        if made.value not in used and made.value not in _numbers_in(made.prompt):
            return made


def _numbers_in(text: str) -> set[Fraction]:
    return {Fraction(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def _as_item(position: int, template: str, made: _Draw) -> dict[str, Any]:
    exact = made.value.denominator == 1
    return {
        "id": f"math-t{position:03d}",
        "category": "math",
        "prompt": made.prompt,
        "verifier": "numeric",
        "args": {"value": int(made.value) if exact else float(made.value)},
        "reference": made.reference,
        "difficulty": made.difficulty,
        "cluster": f"math-{template}",
        "origin": f"template:{template}",
    }


def _decimal(value: Fraction) -> str:
    """Write a value as people do: 12, 12.5, 0.75."""
    return f"{float(value):.10g}"


def _money(value: Fraction) -> str:
    """Write an amount as on a price tag: 12, 12.50, 0.75."""
    return str(value) if value.denominator == 1 else f"{float(value):.2f}"


def _one_step_sum(rng: random.Random) -> _Draw:
    """Add or take away two whole numbers, half of the time inside a story of one sentence."""
    large, small = rng.randint(11, 60), rng.randint(2, 10)
    name, things = rng.choice(_NAMES), rng.choice(_THINGS)
    adding, story = rng.random() < 0.5, rng.random() < 0.5
    if adding and story:
        prompt = f"{name} has {large} {things} and gets {small} more. How many {things} does {name} have now?"
    elif adding:
        prompt = f"What is {large} + {small}?"
    elif story:
        prompt = f"{name} has {large} {things} and gives {small} of them away. How many {things} are left?"
    else:
        prompt = f"What is {large} - {small}?"
    value = large + small if adding else large - small
    return _Draw(prompt, Fraction(value), f"{large} {'+' if adding else '-'} {small} = {value}", "easy")


def _one_step_product(rng: random.Random) -> _Draw:
    """Multiply or divide two numbers of the times tables, bare or as equal groups."""
    groups, size = rng.randint(3, 12), rng.randint(3, 12)
    total, things = groups * size, rng.choice(_THINGS)
    kind = rng.randrange(3)
    if kind == 0:
        return _Draw(f"What is {groups} x {size}?", Fraction(total), f"{groups} x {size} = {total}", "easy")
    if kind == 1:
        prompt = f"There are {groups} bags with {size} {things} in each. How many {things} are there in total?"
        return _Draw(prompt, Fraction(total), f"{groups} x {size} = {total} {things}", "easy")
    prompt = f"{total} {things} fill {groups} bags, the same number in each. How many are in a bag?"
    return _Draw(prompt, Fraction(size), f"{total} / {groups} = {size} {things}", "easy")


_UNITS = (
    ("metres", "centimetres", 100),
    ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("hours", "minutes", 60),
    ("days", "hours", 24),
    ("centimetres", "millimetres", 10),
)


def _unit_conversion(rng: random.Random) -> _Draw:
    """Convert a whole number or a number and a half of a large unit into the small unit."""
    large_unit, small_unit, factor = rng.choice(_UNITS)
    amount = Fraction(rng.randint(4, 19), 2)
    value = amount * factor
    prompt = f"How many {small_unit} are there in {_decimal(amount)} {large_unit}?{_NUMBER_ONLY}"
    return _Draw(prompt, value, _decimal(value), "easy")


def _percent_of(rng: random.Random) -> _Draw:
    """Take a round percentage of a number."""
    percent, base = rng.choice((5, 15, 20, 30, 35, 40, 60, 75, 80)), rng.randint(3, 45) * 20
    value = Fraction(percent * base, 100)
    prompt = rng.choice(
        (
            f"What is {percent} percent of {base}?",
            f"Of the {base} pupils of a school, {percent} percent come by bus. How many pupils is that?",
            f"Of {base} seats in a theatre, {percent} percent are sold. How many seats are sold?",
        )
    )
    return _Draw(prompt, value, f"{percent} / 100 x {base} = {_decimal(value)}", "medium")


def _average(rng: random.Random) -> _Draw:
    """Average three to five whole numbers whose mean is whole."""
    count = rng.randint(3, 5)
    numbers = [rng.randint(10, 95) for _ in range(count - 1)]
    last = rng.randint(10, 50)
    numbers.append(last + (-(sum(numbers) + last)) % count)
    total, listing = sum(numbers), ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    value = Fraction(total, count)
    prompt = rng.choice(
        (
            f"Find the average of these numbers: {listing}.",
            f"{rng.choice(_NAMES)} scored {listing} points in {count} games. What was the average score?",
        )
    )
    return _Draw(prompt, value, f"{total} / {count} = {_decimal(value)}", "medium")


def _rectangle(rng: random.Random) -> _Draw:
    """Perimeter, area or missing side of a rectangle."""
    length, width = rng.randint(11, 30), rng.randint(3, 10)
    unit, thing = rng.choice((("metres", "field"), ("centimetres", "card"), ("metres", "hall")))
    area = length * width
    kind = rng.randrange(3)
    if kind == 0:
        perimeter = 2 * (length + width)
        prompt = f"A rectangular {thing} is {length} {unit} long and {width} {unit} wide. What is its perimeter?"
        return _Draw(prompt + _NUMBER_ONLY, Fraction(perimeter), str(perimeter), "medium")
    if kind == 1:
        prompt = f"What is the area, in square {unit}, of a {thing} that measures {length} by {width} {unit}?"
        return _Draw(prompt + _NUMBER_ONLY, Fraction(area), str(area), "medium")
    prompt = f"A rectangular {thing} of {area} square {unit} is {length} {unit} long. How wide is it?"
    return _Draw(prompt + _NUMBER_ONLY, Fraction(width), str(width), "medium")


def _linear_equation(rng: random.Random) -> _Draw:
    """Solve a linear equation with the unknown on one side or on both."""
    solution, factor, shift = rng.randint(3, 25), rng.randint(3, 9), rng.randint(2, 30)
    letter = rng.choice("nxyz")
    other = rng.randint(0, factor - 2)
    right = (factor - other) * solution + shift
    right_side = f"{other}{letter} + {right}" if other > 1 else f"{letter} + {right}" if other else str(right)
    prompt = f"Solve the equation {factor}{letter} + {shift} = {right_side} for {letter}."
    return _Draw(prompt, Fraction(solution), f"{letter} = {solution}", "hard" if other else "medium")


def _shopping_change(rng: random.Random) -> _Draw:
    """Two kinds of goods, a note to pay with, and the change."""
    first, second = rng.randint(2, 6), rng.randint(2, 6)
    first_price, second_price = Fraction(rng.randint(5, 16), 4), Fraction(rng.randint(5, 16), 2)
    total = first * first_price + second * second_price
    note = next(note for note in (20, 50, 100) if note > total + 1)
    change = note - total
    name = rng.choice(_NAMES)
    goods, others = rng.choice((("rolls", "cakes"), ("pens", "folders"), ("cups", "plates")))
    prompt = (
        f"{name} buys {first} {goods} at {_money(first_price)} dollars each and {second} {others} at "
        f"{_money(second_price)} dollars each, and pays with {note} dollars. "
        f"How many dollars does {name} get back?{_WITH_STEPS}"
    )
    reference = (
        f"{first} x {_money(first_price)} + {second} x {_money(second_price)} = {_money(total)} dollars. "
        f"{note} - {_money(total)} = {_money(change)}. Answer: {_money(change)}"
    )
    return _Draw(prompt, change, reference, "hard")


_TEMPLATES: tuple[tuple[str, int, Callable[[random.Random], _Draw]], ...] = (
    ("one-step-sum", 8, _one_step_sum),
    ("one-step-product", 7, _one_step_product),
    ("unit-conversion", 6, _unit_conversion),
    ("percent-of", 7, _percent_of),
    ("average", 6, _average),
    ("rectangle", 6, _rectangle),
    ("linear-equation", 5, _linear_equation),
    ("shopping-change", 5, _shopping_change),
)
