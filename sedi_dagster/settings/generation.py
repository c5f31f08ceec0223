"""How much is generated, by which methods, in which form."""

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class GenerationSettings(SettingsGroup):
    methods: dict[str, float] = Field(
        {"single_call": 1.0}, description="Generation methods with their share of the candidates, summing to 1"
    )
    language: str = Field(
        "",
        description="Language of generated tasks: a name or a code (Japanese, ja, pt-BR); empty: that of the seed "
        "tasks",
    )
    candidates_per_category: int = Field(4, ge=1, description="Candidates to generate per category and round")
    demonstrations: int = Field(8, ge=1, le=20, description="Seed tasks shown in a prompt (Self-Instruct: 8)")
    machine_demonstrations: int = Field(
        2, ge=0, description="Most machine-made seed tasks among these (Self-Instruct: 2)"
    )
    instances: Literal["few_shot", "answer"] = Field(
        "few_shot",
        description="For self_instruct. few_shot: instances as in the paper; answer: inputs come with the "
        "instructions, and the teacher answers each task as a user would put it",
    )
    answers: Literal["complete", "short"] = Field(
        "complete",
        description="complete: full answers; short: only the answer itself, which costs less and suits a small student",
    )
    evolution_rounds: int = Field(2, ge=1, description="For evol_instruct: most rewrites of an instruction")
    answer_samples: int = Field(
        1, ge=1, le=32, description="Answers generated per task; the task is kept if they agree. Each is paid for"
    )
    max_instruction_tokens: int = Field(200, ge=16, description="Token limit of a call that generates instructions")
    max_answer_tokens: int = Field(128, ge=8, description="Token limit of a call that generates an answer")
    max_example_tokens: int = Field(1500, ge=32, description="Token limit of a call that generates complete examples")
    max_pieces_factor: float = Field(
        6.0, ge=1, description="Give up after this many pieces of text, malformed ones included, per candidate wanted"
    )
