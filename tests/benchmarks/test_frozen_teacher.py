"""The simulated teacher is frozen: what it says and the files of its grounds stay what they were."""

from __future__ import annotations

import pytest

from benchmarks.teachers.frozen import fingerprint
from benchmarks.teachers.ground import GROUNDS, load_ground

FROZEN = {
    "development": "7374dc59979f1b7b69773557871a1ef22ec2dfce7e45b8447117c1a1c99f87a8",
    "final": "f9db21a05c0429dfd1c937004c1251f61dde79f178b3f994612d2bd8f5f84a14",
}


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_teacher_is_frozen(ground: str) -> None:
    assert fingerprint(load_ground(ground)) == FROZEN[ground], (
        f"The simulated teacher of the ground {ground!r} is frozen, and it has changed. All that docs/results.md "
        "says was measured with it as it was: undo the change. If it must change, run all arms anew and say so there."
    )


def test_the_hash_tells_a_changed_answer_and_a_changed_file(monkeypatch: pytest.MonkeyPatch) -> None:
    ground = load_ground("development")
    monkeypatch.setattr("benchmarks.teachers.author.WRONG", 0.06)
    assert fingerprint(ground) != FROZEN["development"]
    monkeypatch.undo()
    monkeypatch.setattr("benchmarks.teachers.grounds.SEEDS", 7)
    assert fingerprint(ground) != FROZEN["development"]
