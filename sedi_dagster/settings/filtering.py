"""Which candidates are rejected."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class FilteringSettings(SettingsGroup):
    mode: Literal["sedi", "self_instruct"] = Field(
        "sedi", description="sedi: novelty threshold 0.85 (SeDi-Instruct); self_instruct: 0.7"
    )
    novelty_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="ROUGE-L F1 above which an instruction is a near duplicate; empty: by mode",
    )
    min_words: int = Field(4, ge=1, description="Fewest words in an instruction")
    max_words: int = Field(150, ge=1, description="Most words in an instruction")
    refusals: bool = Field(True, description="Drop answers that refuse the task or speak of the model that wrote them")
    placeholders: bool = Field(True, description="Drop answers that stand for one that is missing: N/A, nooutput, ...")
    special_tokens: bool = Field(
        True, description="Drop texts that spell out a special token of the student's tokenizer"
    )
    most_tasks_per_output: int | None = Field(
        4, ge=1, description="Tasks that may have the very same output, labels apart; empty: any number"
    )
    decontamination_threshold: float = Field(
        0.7,
        gt=0,
        le=1,
        description="ROUGE-L F1 with an evaluation item at or above which a candidate is dropped",
    )
    decontamination_ngram: int = Field(
        13, ge=3, description="Words in a row shared with an evaluation item that drop it"
    )
    decontamination_cosine: float | None = Field(
        0.9,
        gt=0,
        le=1,
        description="Cosine of sentence vectors with an evaluation item at or above which a candidate is dropped; "
        "empty: vectors are not compared",
    )
    decontaminate_files: str = Field(
        "",
        description="Files of rows, or of a text a line (.txt), separated by commas; no example may be near them",
    )
    semantic_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Cosine of sentence vectors above which an instruction is a semantic duplicate; empty: off",
    )
    ifd: Literal["off", "loss_ratio", "perplexity_ratio"] = Field(
        "off",
        description="Instruction-following difficulty, scored by the base student: ratio of mean losses (Cherry) or "
        "of perplexities (Superfiltering); drops above 1, keeps the highest share of each category",
    )
    ifd_share: float = Field(0.5, gt=0, le=1, description="Share of each category's scored examples that IFD keeps")

    @property
    def threshold(self) -> float:
        if self.novelty_threshold is not None:
            return self.novelty_threshold
        return 0.85 if self.mode == "sedi" else 0.7
