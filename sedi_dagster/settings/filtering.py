"""Which candidates are rejected."""

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class FilteringSettings(SettingsGroup):
    mode: Literal["sedi", "self_instruct"] = Field(
        "sedi",
        description="sedi: novelty threshold 0.85 (SeDi-Instruct); self_instruct: 0.7 and the rules of form of "
        "Self-Instruct",
    )
    novelty_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="ROUGE-L F1 above which an instruction is a near duplicate; empty: by mode",
    )
    min_words: int = Field(4, ge=1, description="Minimum number of words in an instruction")
    max_words: int = Field(150, ge=1, description="Maximum number of words in an instruction")
    refusals: bool = Field(True, description="Reject answers that refuse the task or mention the model that wrote them")
    placeholders: bool = Field(True, description="Reject placeholder answers: N/A, nooutput, ...")
    special_tokens: bool = Field(
        True, description="Reject texts that contain a special token of the student's tokenizer"
    )
    most_tasks_per_output: int | None = Field(
        4, ge=1, description="Most tasks with the same output, except classification labels; empty: no limit"
    )
    decontamination_threshold: float = Field(
        0.7,
        gt=0,
        le=1,
        description="ROUGE-L F1 with an evaluation item at or above which a candidate is rejected",
    )
    decontamination_ngram: int = Field(
        13, ge=3, description="Number of consecutive words shared with an evaluation item that rejects a candidate"
    )
    decontamination_cosine: float | None = Field(
        0.9,
        gt=0,
        le=1,
        description="Cosine of sentence embeddings with an evaluation item at or above which a candidate is "
        "rejected; empty: off",
    )
    decontaminate_files: str = Field(
        "",
        description="Comma-separated files to protect like evaluation items: data files, or .txt with one text "
        "per line",
    )
    semantic_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Cosine of sentence embeddings above which an instruction is a semantic duplicate; empty: off",
    )
    ifd: Literal["off", "loss_ratio", "perplexity_ratio"] = Field(
        "off",
        description="Filter by instruction-following difficulty, scored by the base student: ratio of mean losses "
        "(Cherry) or of perplexities (Superfiltering); rejects above 1 and keeps the highest-scoring "
        "share of each category",
    )
    ifd_share: float = Field(0.5, gt=0, le=1, description="Share of each category's scored examples that IFD keeps")

    @property
    def threshold(self) -> float:
        if self.novelty_threshold is not None:
            return self.novelty_threshold
        return 0.85 if self.mode == "sedi" else 0.7
