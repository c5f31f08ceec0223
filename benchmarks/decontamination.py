"""What each measure of nearness to an evaluation item catches: items reworded by hand, and honest texts.

    python benchmarks/decontamination.py

Prints, for runs of words, ROUGE-L and cosines of the embedding model, how many of 24 items told in other words are
caught and how many honest texts are dropped: the project's seed tasks, and items beside those of other templates.
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from sedi_dagster.batching.embedding import embed
from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.records import EvaluationItem, task_prompt
from sedi_dagster.settings import load_settings

REWORDED = {
    "brainstorming-w013": "The kids at our nursery are dressing up as farm animals one day. Give me four costume "
    "ideas, one per line.",
    "brainstorming-t017": "List five things a person might craft from old wine corks, one idea a line.",
    "classification-w013": "Decide where this sentence was taken from: a user manual, a love letter, a weather report "
    "or a recipe.\n\nSentence: To reset the printer, press the power button and hold it for five seconds.",
    "classification-w019": "Is a scarf made of wool a thing of wood, metal, fabric or stone? Reply with a single word.",
    "closed_qa-t001": "Departures: Merrow 15:07 (platform 11), Thornbury 17:47 (platform 16), Norwood 20:05 (platform "
    "18), Glenby 22:58 (platform 4). At what time is the Norwood train? Only the time, please.",
    "closed_qa-t014": "Keiko (legal office) started in 2001, Vera (customer support) in 2007 and Chiara (warehouse) in "
    "2020. Who of them has been with the company for the greatest number of years? Give the name.",
    "coding-w041": "Fill in the function with Euclid's algorithm and give all of the code back.\n\n"
    "def greatest_divisor(a, b):\n    while b != 0:\n        ...",
    "coding-t006": "A moving company charges 9 euros a box plus 30 euros for its van. Code moving_price(boxes) in "
    "Python; it returns the whole price as a number.",
    "creative_writing-w005": "Sandra Okoro gave me back the wallet I had lost. Thank her in a brief note that opens "
    'with "Dear Sandra" and says something of the wallet.',
    "creative_writing-t025": "Come up with an advertising line of no more than ten words, in double quotes, for Sprig, "
    'a window box that herbs grow in. It has to contain "Sprig" and "kitchen".',
    "extraction-t015": "Here is a log. Tell me in a single word which part of the system reported an ERROR.\n\n"
    "14:32:00 INFO archiver\n14:33:01 ERROR notifier\n14:34:02 INFO cache\n14:35:03 INFO billing\n"
    "14:36:04 WARNING indexer",
    "extraction-w008": "Read the text and write down only the time when the meeting starts.\n\nText: The doors will be "
    "opened at 9:15, the meeting about the budget starts at 9:40 and ought to end by 11:30.",
    "format_following-w050": "A customer got a broken chair. Answer in 15 to 40 words, the first of which are "
    '"Thank you".',
    "format_following-w006": "Which season do you like best, and why? One sentence that opens with "
    '"My favourite season is".',
    "math-t012": "Eight bags hold 88 shells altogether, and each bag holds as many as the next. How many shells does "
    "one bag hold?",
    "math-t045": "Find z if 5z + 28 equals 93.",
    "open_qa-t012": "Cu is the symbol of which chemical element?",
    "open_qa-t008": "What is Ireland's capital city?",
    "reasoning-t038": "Find the odd one out and answer with it alone: van, lorry, peeler, tram, bicycle.",
    "reasoning-w010": "Complete the analogy with a single word: hot : cold = tall : ?",
    "rewriting-t022": 'Somebody shouts: "Move your truck this minute, you lazybones!" Make it a courteous question '
    'starting with "Could you please".',
    "rewriting-w002": 'Put the sentence into the future, for tomorrow, with "will", and write nothing else.\n\n'
    "The plumber repaired the sink and replaced two pipes.",
    "summarization-t019": "Summarise the review in a sentence of 20 words or fewer, with the product, something the "
    "buyer liked and something the buyer did not.\n\n",
    "summarization-w003": "In no more than 30 words and two sentences at most, say what went on, with the animal and "
    "its rescuer.\n\n",
}
"""Items by id in other words, by hand. One that ends in a blank line goes on with the item's own text, as leaks do."""

COSINES = (0.75, 0.8, 0.85, 0.9, 0.95)


def reworded(items: dict[str, EvaluationItem]) -> list[tuple[str, str]]:
    """(item id, reworded prompt)."""
    return [
        (name, text + (items[name].prompt.split("\n\n", 1)[1] if text.endswith("\n\n") else ""))
        for name, text in REWORDED.items()
    ]


def main() -> None:
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    items = {i.id: i for i in load_evaluation_items(settings.path(settings.items), categories)}
    rows = [json.loads(line) for line in settings.path(settings.seeds).read_text(encoding="utf-8").splitlines()]
    texts = {
        "reworded": [text for _, text in reworded(items)],
        "seeds": [task_prompt(row["instruction"], row["input"]) for row in rows],
        "items": [item.prompt for item in items.values()],
    }
    vectors = {name: embed(found, settings.batching.embedding_model) for name, found in texts.items()}
    cosines = {name: found @ vectors["items"].T for name, found in vectors.items()}
    clusters = np.array([item.cluster for item in items.values()])
    cosines["items"][clusters[:, None] == clusters[None, :]] = -1  # variants of one template are near one another
    filtering = settings.filtering
    by_words = Decontaminator(
        ((item.id, item.prompt) for item in items.values()),
        filtering.decontamination_threshold,
        filtering.decontamination_ngram,
    )
    counts: dict[str, dict[str, int]] = {name: {} for name in texts}
    for name in ("reworded", "seeds"):
        frame = pl.DataFrame({"text": texts[name]}).with_row_index("row")
        counts[name] = dict(by_words.near(frame).group_by("rule").len().iter_rows())
    for name, found in cosines.items():
        nearest = found.max(axis=1)
        counts[name] |= {f"cosine >= {c}": int((nearest >= c).sum()) for c in COSINES}
    measures = ["evaluation_ngram", "evaluation_rouge_l", *(f"cosine >= {c}" for c in COSINES)]
    print(f"| measure | {' | '.join(f'{name} ({len(found)})' for name, found in texts.items())} |")
    print("| --- | --- | --- | --- |")
    for measure in measures:
        cells = [str(counts[name].get(measure, "-" if name == "items" else 0)) for name in texts]
        print(f"| {measure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
