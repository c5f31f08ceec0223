"""How much is generated, by which methods, in which form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class GenerationSettings(SettingsGroup):
    methods: dict[str, float] = Field(
        {"single_call": 1.0}, description="Share of the candidates by method of generation, summing to 1"
    )
    language: str = Field(
        "",
        description="Language that the teacher is asked to write in: a name or a code (Japanese, ja, pt-BR); "
        "empty: that of the seed tasks",
    )
    candidates_per_category: int = Field(4, ge=1, description="Candidates to ask for, per category and round")
    demonstrations: int = Field(8, ge=1, le=20, description="Seed tasks shown in a prompt (Self-Instruct: 8)")
    machine_demonstrations: int = Field(
        2, ge=0, description="Of these, at most so many machine-made (Self-Instruct: 2)"
    )
    instances: Literal["few_shot", "answer"] = Field(
        "few_shot",
        description="self_instruct. few_shot: instances as in the paper; answer: inputs come with the instructions, "
        "and each task is put to the teacher as a user would",
    )
    answers: Literal["complete", "short"] = Field(
        "complete",
        description="complete: answers as an expert gives them; short: the teacher is asked for the answer alone, "
        "which costs less and suits a small student",
    )
    evolution_rounds: int = Field(2, ge=1, description="evol_instruct: times that an instruction is evolved, at most")
    answer_samples: int = Field(
        1, ge=1, le=32, description="Answers asked for a task, kept if they agree; each is paid for"
    )
    max_instruction_tokens: int = Field(200, ge=16, description="Token limit of a call that asks for instructions")
    max_answer_tokens: int = Field(128, ge=8, description="Token limit of a call that asks for an answer")
    max_example_tokens: int = Field(400, ge=32, description="Token limit of a call that asks for whole examples")
    max_pieces_factor: float = Field(
        6.0, ge=1, description="Pieces of text, malformed ones included, per candidate wanted before giving up"
    )
