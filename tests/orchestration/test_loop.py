"""The whole loop with a planted student: what holds over rounds, and what happens to finished ones."""

from __future__ import annotations

from loops import Loop


def test_two_rounds(loop: Loop) -> None:
    ended = loop.run(2)
    history = loop.sedi.history()
    print(ended, loop.told, loop.trainings(), [(o.score, o.promoted) for o in history.finished])
    assert len(history.finished) == 2
