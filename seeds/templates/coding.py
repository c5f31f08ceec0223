"""Evaluation items for `coding`, made from templates.

Seven templates: functions to write, complete and repair, whose tests are computed with a Python oracle, and
snippets whose output is to be predicted, computed by doing the same steps here. Every function has a name of
its own, so that the answer to one item never passes as the answer to another.
"""

import random
from collections.abc import Callable
from typing import Any

Item = dict[str, Any]


def items(rng: random.Random) -> list[Item]:
    """Return the 50 template items; the same state of `rng` gives the same items."""
    made = [
        *_fixed_plus_rate(rng),
        *_keep_numbers(rng),
        *_three_way_label(rng),
        *_complete_loop(rng),
        *_repair(rng),
        *_predict_number(rng),
        *_predict_text(rng),
    ]
    return [{"id": f"coding-t{number:03d}", "category": "coding", **item} for number, item in enumerate(made, 1)]


def _item(template: str, difficulty: str, prompt: str, reference: str, verifier: str, args: Item) -> Item:
    """One item without its id."""
    return {
        "prompt": prompt,
        "verifier": verifier,
        "args": args,
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"coding-{template}",
        "origin": f"template:{template}",
    }


def _code_item(
    template: str,
    difficulty: str,
    prompt: str,
    reference: str,
    function: str,
    oracle: Callable[..., object],
    inputs: list[Any],
) -> Item:
    """A `code_tests` item; `oracle` says what the function must return for each input."""
    tests = [_test(function, value, oracle(value)) for value in inputs]
    args = {"function": function, "tests": list(dict.fromkeys(tests))}
    return _item(template, difficulty, prompt, reference, "code_tests", args)


def _test(function: str, value: object, expected: object) -> str:
    """One assertion; fractions get a margin, because right formulas may differ in the last bit."""
    if isinstance(expected, float):
        return f"assert abs({function}({value!r}) - {expected!r}) < 1e-6"
    return f"assert {function}({value!r}) == {expected!r}"


def _fixed_plus_rate(rng: random.Random) -> list[Item]:
    """A fixed fee and a price per unit: one line of arithmetic behind a short story."""
    stories = [
        (
            "taxi_fare",
            "A taxi ride costs {base} dollars to start and {rate} dollars for every mile.",
            "miles",
        ),
        ("bike_rental", "Renting a bike costs {base} euros plus {rate} euros an hour.", "hours"),
        ("print_cost", "A copy shop charges {base} cents for the job and {rate} cents a page.", "pages"),
        ("plumber_bill", "A plumber asks {base} pounds for coming and {rate} pounds for each hour.", "hours"),
        (
            "phone_bill",
            "A phone plan is {base} dollars a month plus {rate} dollars per gigabyte.",
            "gigabytes",
        ),
        ("moving_price", "Movers take {base} euros for the van and {rate} euros for every box.", "boxes"),
        ("gym_year", "A gym asks {base} dollars to join and then {rate} dollars a month.", "months"),
    ]
    made = []
    for function, story, unit in stories:
        base, rate = rng.randint(11, 40), rng.randint(3, 9)
        prompt = (
            f"{story.format(base=base, rate=rate)} Write a Python function {function}({unit}) "
            "that returns the total as a number."
        )
        reference = f"def {function}({unit}):\n    return {base} + {rate} * {unit}"
        inputs = [0, 1, rng.randint(2, 9), rng.randint(10, 30)]
        made.append(
            _code_item(
                "fixed-plus-rate",
                "easy",
                prompt,
                reference,
                function,
                lambda units, base=base, rate=rate: base + rate * units,
                inputs,
            )
        )
    return made


def _keep_numbers(rng: random.Random) -> list[Item]:
    """Filter a list of whole numbers by one condition or by two."""
    low, high = rng.randint(10, 20), rng.randint(35, 45)
    step, ending = rng.randint(3, 7), rng.randint(1, 9)
    limit, floor, odd_floor = rng.randint(20, 30), rng.randint(15, 25), rng.randint(11, 29)
    conditions: list[tuple[str, str, str, Callable[[int], bool], str]] = [
        ("keep_above", f"are greater than {floor}", f"n > {floor}", lambda n: n > floor, "easy"),
        ("keep_at_most", f"are at most {limit}", f"n <= {limit}", lambda n: n <= limit, "easy"),
        ("keep_multiples", f"are divisible by {step}", f"n % {step} == 0", lambda n: n % step == 0, "medium"),
        (
            "keep_between",
            f"lie between {low} and {high}, both ends included",
            f"{low} <= n <= {high}",
            lambda n: low <= n <= high,
            "medium",
        ),
        (
            "keep_last_digit",
            f"have {ending} as their last digit",
            f"n % 10 == {ending}",
            lambda n: n % 10 == ending,
            "medium",
        ),
        (
            "keep_odd_above",
            f"are odd and also greater than {odd_floor}",
            f"n % 2 == 1 and n > {odd_floor}",
            lambda n: n % 2 == 1 and n > odd_floor,
            "medium",
        ),
        (
            "keep_no_multiples",
            f"are smaller than {high} and not divisible by {step}",
            f"n < {high} and n % {step} != 0",
            lambda n: n < high and n % step != 0,
            "hard",
        ),
    ]
    # The values on both sides of every limit, so that a wrong comparison cannot pass by luck.
    edges = sorted({n + shift for n in (low, high, limit, floor, odd_floor) for shift in (-1, 0, 1)})
    made = []
    for function, words, test, condition, difficulty in conditions:
        prompt = (
            f"Write a Python function {function}(numbers). It gets a list of positive whole numbers and "
            f"returns a new list with only those that {words}, in the same order."
        )
        reference = f"def {function}(numbers):\n    return [n for n in numbers if {test}]"
        shuffled = [*rng.sample(range(1, 60), 10), 10 + ending, step * 6]
        inputs = [edges, shuffled, [1, 2, 3, 30 + ending, step * 8], []]
        made.append(
            _code_item(
                "keep-numbers",
                difficulty,
                prompt,
                reference,
                function,
                lambda numbers, condition=condition: [n for n in numbers if condition(n)],
                inputs,
            )
        )
    return made


def _three_way_label(rng: random.Random) -> list[Item]:
    """Two thresholds, three words: an if / elif / else chain."""
    scales = [
        ("parcel_size", "kilograms", ("small", "medium", "large"), (2, 9)),
        ("wind_strength", "speed", ("calm", "breezy", "stormy"), (10, 60)),
        ("tank_state", "litres", ("low", "normal", "full"), (5, 80)),
        ("noise_level", "decibels", ("quiet", "moderate", "loud"), (30, 90)),
        ("trip_kind", "kilometres", ("short", "middle", "long"), (8, 200)),
        ("battery_colour", "percent", ("red", "yellow", "green"), (10, 80)),
        ("crowd_word", "people", ("few", "some", "many"), (4, 50)),
    ]
    made = []
    for function, parameter, (first, second, third), (smallest, largest) in scales:
        middle = (smallest + largest) // 2
        lower, upper = rng.randint(smallest, middle), rng.randint(middle + 1, largest)

        def oracle(
            value: int,
            cuts: tuple[int, int] = (lower, upper),
            names: tuple[str, str, str] = (first, second, third),
        ) -> str:
            return names[sum(value >= cut for cut in cuts)]

        prompt = (
            f'Write a Python function {function}({parameter}) that returns "{first}" below {lower}, '
            f'"{second}" from {lower} up to but not including {upper}, and "{third}" from {upper} on.'
        )
        reference = (
            f"def {function}({parameter}):\n"
            f'    if {parameter} < {lower}:\n        return "{first}"\n'
            f'    if {parameter} < {upper}:\n        return "{second}"\n'
            f'    return "{third}"'
        )
        inputs = [0, lower - 1, lower, upper - 1, upper, upper + 15]
        made.append(_code_item("three-way-label", "medium", prompt, reference, function, oracle, inputs))
    return made


def _complete_loop(rng: random.Random) -> list[Item]:
    """A function that lacks the body of its loop; the task says what it collects."""
    factor, offset, cut = rng.randint(3, 9), rng.randint(11, 29), rng.randint(4, 6)
    letter = rng.choice("aeiou")
    gaps: list[tuple[str, str, str, str, str, Callable[[Any], object], list[Any], str]] = [
        (
            "scaled",
            "numbers",
            "[]",
            f"a list with every number multiplied by {factor}",
            f"result.append(item * {factor})",
            lambda xs: [x * factor for x in xs],
            [[1, 2, 3], [], [10], [0, -4]],
            "easy",
        ),
        (
            "shifted",
            "numbers",
            "[]",
            f"a list with {offset} added to every number",
            f"result.append(item + {offset})",
            lambda xs: [x + offset for x in xs],
            [[1, 2], [], [-5], [7, 7, 7]],
            "easy",
        ),
        (
            "sum_below",
            "numbers",
            "0",
            f"the sum of the numbers smaller than {cut * 10}",
            f"if item < {cut * 10}:\n            result += item",
            lambda xs: sum(x for x in xs if x < cut * 10),
            [[1, 99, 3], [], [cut * 10, 5], [12, 13]],
            "medium",
        ),
        (
            "long_words",
            "words",
            "[]",
            f"a list of the words with more than {cut} letters",
            f"if len(item) > {cut}:\n            result.append(item)",
            lambda ws: [w for w in ws if len(w) > cut],
            [
                ["ant", "squirrel", "cat"],
                [],
                ["mango", "cherry", "orange", "banana", "grapefruit"],
                ["a", "sunflower"],
            ],
            "medium",
        ),
        (
            "words_with_letter",
            "words",
            "0",
            f'how many of the words contain the letter "{letter}"',
            f'if "{letter}" in item:\n            result += 1',
            lambda ws: sum(letter in w for w in ws),
            [["sequoia", "rhythm"], [], ["education", "equation", "dialogue", "xyz"], ["try", "fly"]],
            "medium",
        ),
        (
            "joined",
            "words",
            '""',
            'one string in which every word is followed by a semicolon ";"',
            'result += item + ";"',
            lambda ws: "".join(w + ";" for w in ws),
            [["a", "b"], [], ["milk"], ["red", "green", "blue"]],
            "medium",
        ),
        (
            "alternating",
            "numbers",
            "0",
            "the first number minus the second plus the third minus the fourth and so on",
            "result = item - result",
            lambda xs: sum(x * (-1) ** i for i, x in enumerate(xs)),
            [[5, 3], [], [1, 2, 3, 4], [9]],
            "hard",
        ),
    ]
    made = []
    for function, parameter, start, goal, body, oracle, inputs, difficulty in gaps:
        head = f"def {function}({parameter}):\n    result = {start}\n"
        loop = f"for item in {parameter}:"
        if function == "alternating":
            loop = f"for item in reversed({parameter}):"
        stub = f"{head}    # loop over {parameter} here\n    return result"
        reference = f"{head}    {loop}\n        {body}\n    return result"
        prompt = f"Complete the Python function so that it returns {goal}. Write out the whole function.\n\n{stub}"
        made.append(_code_item("complete-loop", difficulty, prompt, reference, function, oracle, inputs))
    return made


def _repair(rng: random.Random) -> list[Item]:
    """A function with one wrong spot, what it should do with an example, and the repaired version."""
    days, percent, start, base = (
        rng.randint(4, 9),
        rng.choice([5, 15, 25, 30]),
        rng.randint(2, 5),
        rng.randint(3, 9),
    )
    repairs: list[tuple[str, str, str, str, str, Callable[[Any], object], list[Any], str]] = [
        (
            "weeks_to_days",
            "the number of days in the given weeks",
            "weeks",
            "return weeks + 7",
            "return weeks * 7",
            lambda w: w * 7,
            [2, 0, days, 52],
            "easy",
        ),
        (
            "is_negative",
            "True for numbers below zero and False for all others",
            "number",
            "return number > 0",
            "return number < 0",
            lambda n: n < 0,
            [-3, 4, 0, -100],
            "easy",
        ),
        (
            "price_after_cut",
            f"the price lowered by {percent} percent",
            "price",
            f"return price - {percent}",
            f"return price - price * {percent} / 100",
            lambda p: p - p * percent / 100,
            [200, 0, 40, 1000],
            "medium",
        ),
        (
            "skip_start",
            f"the list without its first {start} elements",
            "items",
            f"return items[:{start}]",
            f"return items[{start}:]",
            lambda xs: xs[start:],
            [[1, 2, 3, 4, 5, 6, 7], list("abcdefgh"), [9], [0] * 6],
            "medium",
        ),
        (
            "ends_same",
            "True if the first and the last letter are equal, otherwise False",
            "word",
            "return word[0] == word[1]",
            "return word[0] == word[-1]",
            lambda w: w[0] == w[-1],
            ["level", "llama", "x1x", "aab"],
            "medium",
        ),
        (
            "times_table",
            f"the first multiples of {base}, as many as count says",
            "count",
            f"return [{base} * i for i in range(count)]",
            f"return [{base} * i for i in range(1, count + 1)]",
            lambda c: [base * i for i in range(1, c + 1)],
            [3, 0, 1, 6],
            "medium",
        ),
        (
            "vowel_free",
            "the text without the lower-case vowels a, e, i, o, u",
            "text",
            'for ch in "aeiou":\n        text.replace(ch, "")\n    return text',
            'for ch in "aeiou":\n        text = text.replace(ch, "")\n    return text',
            lambda t: "".join(c for c in t if c not in "aeiou"),
            ["banana", "sky", "", "queue up"],
            "hard",
        ),
    ]
    made = []
    for function, goal, parameter, wrong, right, oracle, inputs, difficulty in repairs:
        signature = f"def {function}({parameter}):\n    "
        prompt = (
            f"This function should return {goal}. For example, {function}({inputs[0]!r}) should be "
            f"{oracle(inputs[0])!r}, but it is not. Give the corrected function.\n\n{signature}{wrong}"
        )
        made.append(_code_item("repair", difficulty, prompt, signature + right, function, oracle, inputs))
    return made


def _predict_number(rng: random.Random) -> list[Item]:
    """Short programs that print one number; the value is computed here by the same steps."""
    made = []
    for round_number in range(8):
        numbers = rng.sample(range(11, 40), 3 + round_number // 3)
        step, start = rng.randint(3, 9), rng.randint(12, 30)
        if round_number < 3:
            code = f"x = {start}\nx = x * {step}\nx = x - {numbers[0]}\nprint(x)"
            value, difficulty = start * step - numbers[0], "easy"
        elif round_number < 6:
            code = f"total = {start}\nfor n in {numbers}:\n    total += n\nprint(total)"
            value, difficulty = start + sum(numbers), "medium"
        else:
            code = (
                f"result = {start}\nfor n in {numbers}:\n    if n % 2 == 0:\n        result += n\n"
                f"    else:\n        result += {step}\nprint(result)"
            )
            value, difficulty = start + sum(n if n % 2 == 0 else step for n in numbers), "hard"
        prompt = f"Which number does this Python code print? Reply with the number alone.\n\n{code}"
        made.append(_item("predict-number", difficulty, prompt, str(value), "numeric", {"value": value}))
    return made


def _predict_text(rng: random.Random) -> list[Item]:
    """Short programs that print a made-up word, so that the answer cannot be guessed."""
    words = rng.sample(["candle", "market", "planet", "window", "forest", "bridge", "silver", "dragon"], 7)
    made = []
    for number, word in enumerate(words):
        cut, other = rng.randint(2, 3), rng.choice("xzqk")
        shape, value, difficulty = [
            (f'word = "{word}"\nprint(word[::-1])', word[::-1], "medium"),
            (f'word = "{word}"\nprint(word[:{cut}] + "{other}")', word[:cut] + other, "easy"),
            (
                f'word = "{word}"\nprint(word.replace("{word[1]}", "{other}"))',
                word.replace(word[1], other),
                "medium",
            ),
            (f'word = "{word}"\nprint(word[{cut}:] + word[:{cut}])', word[cut:] + word[:cut], "hard"),
        ][number % 4]
        prompt = f"Tell me exactly what this Python code prints. Give only the printed text.\n\n{shape}"
        made.append(_item("predict-text", difficulty, prompt, value, "match", {"aliases": [value], "max_words": 12}))
    return made
