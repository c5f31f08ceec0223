"""Every setting, its default and its meaning. One way in: `load_settings`.

Precedence, lowest first: defaults here, the profile, `.env`, `SEDI_*` variables, overrides (a command-line
option or run config in the launchpad). A nested setting is named `SEDI_<GROUP>_<FIELD>`, such as
`SEDI_TEACHER_BASE_URL`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from sedi_dagster.errors import SettingsError
from sedi_dagster.texts.cleaning import RULES, CleaningRule
from sedi_dagster.texts.endings import Ending


def _project_root() -> Path:
    """The checkout this package runs from, or the working folder when it was installed as a wheel."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "workspace.yaml").exists() else Path.cwd()


PROJECT_ROOT = _project_root()
ENV_FILE = PROJECT_ROOT / ".env"


SIMULATED = "SIMULATED teacher"
"""What everything says that was made with it: console, metadata, report, dataset, and in capitals."""


def _stripped(key: Any) -> Any:
    """A key as it was meant: without the blanks, quotes and line breaks that copying brings along."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    return text.strip().strip("\"'").removeprefix("Bearer ").strip() if isinstance(text, str) else text


def _sendable(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(
            "SEDI_TEACHER_API_KEY has a blank, a line break or a character outside ASCII in it; copy it again"
        )
    return key


ApiKey = Annotated[SecretStr, BeforeValidator(_stripped), AfterValidator(_sendable)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TeacherSettings(_Group):
    base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint; empty: the bundled model on loopback; simulated: is a stand-in"
    )
    model: str = Field("smollm2-135m-instruct", description="Model name sent to the endpoint")
    api_key: ApiKey = Field(SecretStr(""), description="Key for the endpoint; never written anywhere")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request, as JSON; values are never written anywhere"
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description='Query parameters of every request, as JSON, such as {"api-version": "2024-10-21"} for Azure; '
        "values are never written anywhere",
    )
    prompt_style: Literal["auto", "completion", "chat"] = Field(
        "auto",
        description="completion: continue a list (small models); chat: ask in messages; auto: by what the teacher is",
    )
    max_concurrency: int = Field(8, ge=1, le=4096, description="Calls under way at once, at most")
    timeout_s: float = Field(180.0, gt=0, description="Time allowed for one call, in seconds")
    max_attempts: int = Field(5, ge=1, description="Attempts for a call that fails in passing (429, 5xx, time-out)")
    token_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Name under which the endpoint takes the answer's token limit"
    )
    temperature: float = Field(0.7, ge=0, le=2, description="Sampling temperature for new instructions")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling for new instructions")
    reasoning_tokens: int = Field(
        0, ge=0, description="Tokens added to the limit of every call, for a model that thinks before it answers"
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description='JSON object merged into every request; null leaves a field out, as in {"seed": null}',
    )
    structured_output: Literal["auto", "json_schema", "json_object", "prompt"] = Field(
        "auto",
        description="How an answer's JSON form is asked for; auto: tried out once an endpoint and remembered",
    )
    batch: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Send calls through the endpoint's batch API, at its lower price and within a day; auto: in "
        "nightly rounds, where the endpoint has one",
    )
    clean_reasoning: bool = Field(True, description="Take a model's reasoning (<think> and others) off its answers")
    clean_turn_marks: bool = Field(True, description="End an answer at a mark that ends its turn, such as <|im_end|>")
    clean_control_characters: bool = Field(True, description="Take control characters off answers (C0, C1, colours)")
    finish_reasons: dict[str, Ending] = Field(
        default_factory=dict,
        description="What an endpoint's own finish reasons mean (whole, cut, refused, failed), as JSON by its word",
    )
    requests_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    tokens_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    patience_s: float = Field(
        900.0, gt=0, description="Longest time to bear with nothing but rate limit answers (429), in seconds"
    )
    silence_s: float = Field(
        20.0,
        gt=0,
        description="Calls under way without any answer for so long: the endpoint is asked whether it is there, in s",
    )
    local_threads: int = Field(0, ge=0, description="Threads of the bundled model's server; 0: all cores")
    local_context: int = Field(2048, ge=256, le=8192, description="Context of the bundled model, in tokens a call")

    @field_validator("base_url")
    @classmethod
    def _without_path_of_a_call(cls, url: str | None) -> str | None:
        """The address that the API's paths are added to, also where that of a call was copied."""
        return re.sub(r"/(?:chat/)?completions/?$", "", url.strip()) if url else url

    @property
    def cleaning_rules(self) -> frozenset[CleaningRule]:
        """The rules of cleaning that are on."""
        return frozenset(rule for rule in RULES if getattr(self, f"clean_{rule}"))

    @property
    def is_simulated(self) -> bool:
        """Whether everything the teacher writes is made up by the simulated one."""
        return (self.base_url or "").startswith("simulated:")

    @property
    def shown(self) -> str:
        """The teacher's name as people are told it."""
        if self.is_simulated:
            return SIMULATED
        return f"{self.model} (bundled)" if self.base_url is None else self.model

    @property
    def asks_in_chat(self) -> bool:
        """The bundled model continues a list well and follows a request badly; others are asked in messages."""
        return self.base_url is not None if self.prompt_style == "auto" else self.prompt_style == "chat"


class Price(_Group):
    input: float = Field(ge=0, description="USD for a million prompt tokens")
    output: float = Field(ge=0, description="USD for a million answer tokens")
    cached_input: float | None = Field(None, ge=0, description="USD for a million prompt tokens read from a cache")
    batch: float = Field(0.5, ge=0, le=1, description="What a call in a batch costs, as a share of its price")
    as_of: str = Field(min_length=4, description="When this was the price, such as 2026-11 or 2026-11-21")


class BudgetSettings(_Group):
    """Caps that no call may break; the token caps of a round and of the whole loop are in `LoopSettings`."""

    max_usd: float | None = Field(None, gt=0, description="US dollars the whole loop may cost; empty: no limit")
    max_usd_per_round: float | None = Field(None, gt=0, description="US dollars a round may cost; empty: no limit")
    max_usd_per_day: float | None = Field(None, gt=0, description="US dollars a day (UTC) may cost; empty: no limit")
    max_usd_per_run: float | None = Field(None, gt=0, description="US dollars a run may cost; empty: no limit")
    max_tokens_per_day: int | None = Field(None, ge=1, description="Tokens a day (UTC) may use; empty: no limit")
    max_tokens_per_run: int | None = Field(None, ge=1, description="Tokens a run may use; empty: no limit")
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description="Price by model name, as JSON; goes before the list that comes with this version",
    )

    @property
    def caps_usd(self) -> bool:
        return any((self.max_usd, self.max_usd_per_round, self.max_usd_per_day, self.max_usd_per_run))


class GenerationSettings(_Group):
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


class FilteringSettings(_Group):
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


class BatchingSettings(_Group):
    embedding_model: str = Field(
        "bundled:all-MiniLM-L6-v2",
        description="sentence-transformers model: bundled:..., a folder or a hub name",
    )
    composition: Literal["random", "clusters", "sequential"] = Field(
        "random",
        description="How rows are put into training batches; clusters: across k-means clusters, as in SeDi-Instruct",
    )
    batch_size: int = Field(8, ge=1, description="Examples in a training batch (one optimiser step)")
    human_replay: float = Field(
        0.5, ge=0, le=1, description="Share of human seed tasks among a round's training rows; 1: all of them"
    )
    earlier_replay: float = Field(
        1.0, ge=0, le=1, description="Share of earlier rounds' examples among a round's training rows; 1: all of them"
    )

    @model_validator(mode="after")
    def _leave_room_for_the_rounds_own_examples(self) -> BatchingSettings:
        if sum(share for share in (self.human_replay, self.earlier_replay) if share < 1) >= 1:
            raise ValueError(
                "SEDI_BATCHING_HUMAN_REPLAY and SEDI_BATCHING_EARLIER_REPLAY together must be less than 1; "
                "either may be 1, which takes all there are"
            )
        return self


class TrainingSettings(_Group):
    student: str = Field("bundled:smollm2-135m-instruct", description="Student: bundled:..., a folder or a hub name")
    method: Literal["lora", "qlora", "full"] = Field(
        "lora",
        description="Train LoRA adapters or all weights; qlora: adapters on weights held in 4 bits (needs a GPU and "
        "bitsandbytes)",
    )
    start: Literal["previous", "base"] = Field(
        "previous",
        description="previous: go on from the last promoted checkpoint with this round's examples and some replayed; "
        "base: from the untrained student on everything kept so far",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate; empty: by the student's size (5e-4 for LoRA on the bundled one)"
    )
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="How the learning rate falls after the warm-up"
    )
    warmup_steps: int = Field(3, ge=0, description="Optimiser steps over which the learning rate rises")
    epochs: float = Field(2.0, gt=0, description="Passes over the round's training batches")
    steps: int | None = Field(
        None, ge=1, description="Optimiser steps a round, whatever the number of rows; empty: by epochs"
    )
    seed_epochs: float = Field(
        3.0, ge=0, description="Passes over the human seed tasks of the student trained on them alone; 0: there is none"
    )
    max_length: int = Field(512, ge=32, description="Tokens of prompt and answer together; longer rows are rejected")
    lora_rank: int = Field(16, ge=1, description="Rank of the LoRA adapters, on all linear layers")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples in memory at once on a device; a training batch is made of several (gradient "
        "accumulation); empty: 1,024 tokens on a CPU, up to 8 examples; as many as fit on a GPU",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16: autocast, what is trained stays fp32; auto: bf16 where the device multiplies it"
    )
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = Field(
        "auto",
        description="Attention implementation; auto: what transformers chooses; eager for short rows on a CPU in bf16",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Less memory, a third slower: activations are made again; empty: on a GPU where memory asks for "
        "it, on a CPU from a billion parameters on",
    )
    example_losses: bool = Field(
        True, description="Measure each example's loss before and after the round (two passes without gradients)"
    )
    held_out_share: float = Field(
        0.125, ge=0, lt=1, description="Share of each category's human seed tasks that is measured, never trained on"
    )
    save_steps: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps between two saved states that a kill goes back to; empty: every minute, less "
        "often where saving takes long",
    )
    keep_checkpoints: int | None = Field(
        5, ge=1, description="Newest rounds whose checkpoints stay; promoted ones always do; empty: all stay"
    )
    python: str = Field("", description="Interpreter of the training and evaluation process; empty: this one")
    warm_worker: bool = Field(
        True,
        description="Import training's libraries once, and fork for each training and evaluation (Linux without a GPU, "
        "one process, this interpreter); it ends with `sedi run`, or after 5 idle minutes",
    )
    launcher: str = Field(
        "",
        description="For several devices: `accelerate launch` with its options, such as accelerate launch "
        "--num_processes 4; empty: one process",
    )


class EvaluationSettings(_Group):
    items_per_category: int = Field(
        12, ge=2, description="Evaluation items used per category: a fixed, stratified subset, in two halves"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Items answered at once; empty: 24 on a CPU and of a served student, 256 on a GPU; halved when "
        "memory ends",
    )
    base_url: str | None = Field(
        None,
        description="OpenAI-compatible endpoint that serves the student; empty: it answers in a process of its own. "
        "Evaluation items are sent there",
    )
    model: str = Field(
        "{checkpoint}", description="Model name sent to it; {checkpoint} stands for untrained, round-0001, ..."
    )
    api_key: ApiKey = Field(SecretStr(""), description="Key for that endpoint; never written anywhere")
    timeout_s: float = Field(300.0, gt=0, description="Time allowed for one answer of that endpoint, in seconds")
    reference: str = Field(
        "",
        description="Reference model (bundled:..., a folder or a hub name) that answers the same items; targets named "
        "`reference` are taken from it, or all targets if none is; empty: there is none",
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the tests after correction over categories")
    min_gap: float = Field(0.05, ge=0, lt=1, description="Smallest gap to the target that counts, as a share of items")
    confirm_alpha: float = Field(
        0.2, gt=0, lt=1, description="Level at which the fresh half of the items alone must confirm a weak category"
    )
    max_drop: float = Field(
        0.05, ge=0, lt=1, description="Largest drop of a category that does not stop promotion, however significant"
    )
    judge: bool = Field(
        False,
        description="Let a model compare answers of brainstorming and creative writing with those before. It is sent "
        "evaluation items, so it needs an endpoint of its own; what it says is reported and decides nothing",
    )
    judge_base_url: str | None = Field(None, description="OpenAI-compatible endpoint of the judge; no default")
    judge_model: str = Field("", description="Model name sent to the judge's endpoint")
    judge_api_key: ApiKey = Field(SecretStr(""), description="Key for the judge's endpoint; never written anywhere")


class FeedbackSettings(_Group):
    signal: Literal["grad_norm", "loss_drop", "ifd", "heldout_gain", "random"] = Field(
        "random", description="What ranks examples for promotion to seeds; see docs/training.md"
    )
    window_steps: int = Field(10, ge=1, description="Optimiser steps of a window (grad_norm, heldout_gain)")
    window_batches: int = Field(
        1, ge=1, description="Batches of highest gradient norm whose examples are considered, of each window"
    )
    promote_per_category: int = Field(2, ge=0, description="Examples that may become seeds, per category and round")
    max_entering: int = Field(24, ge=0, description="Examples that may become seeds in a round")
    max_leaving: int = Field(12, ge=0, description="Seeds that may be rested in a round")
    max_machine_seeds_per_category: int = Field(12, ge=0, description="Machine-made seeds in prompting, per category")
    min_human_seeds_per_category: int = Field(
        8, ge=0, description="Human seeds that stay in prompting in each category, whatever they earned"
    )
    max_depth: int = Field(
        3, ge=1, description="Generations from a human seed at most: a child of human seeds has depth 1"
    )
    max_ifd: float = Field(1.0, gt=0, description="Instruction-following difficulty above which none is promoted")
    duplicate_threshold: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L F1 with a seed above which an example is no new seed"
    )
    min_children: int = Field(20, ge=1, description="Children a seed must have had before it is judged by them")
    rest_alpha: float = Field(
        0.05, gt=0, lt=1, description="Level of the test that a seed's children are kept less often than others'"
    )
    rest_rounds: int = Field(3, ge=1, description="Rounds that a seed rests before it is tried again")


class LoopSettings(_Group):
    max_rounds: int = Field(20, ge=1, description="Rounds after which the loop ends")
    max_tokens: int | None = Field(None, ge=1, description="Teacher tokens the whole loop may use; empty: no limit")
    max_tokens_per_round: int | None = Field(None, ge=1, description="Teacher tokens a round may use; empty: no limit")
    plateau_rounds: int = Field(4, ge=1, description="Rounds without a better score after which the loop ends")
    allocation: Literal["expected_gain", "even"] = Field(
        "expected_gain",
        description="How a round is shared out: where the next tokens are expected to gain most, or alike",
    )
    goal: Literal["score", "targets"] = Field(
        "score", description="score: the best student for the budget; targets: every target reached at the least cost"
    )
    floor_share: float = Field(
        0.1, ge=0, le=1, description="Share of a round spread over all categories, so that no estimate goes stale"
    )
    most_per_category: float = Field(
        2.0, ge=1, description="A category gets at most so many times the usual number of candidates"
    )
    cool_down_rounds: int = Field(1, ge=0, description="Rounds in which a category that left weakness is left alone")
    stuck_after: int = Field(
        2, ge=1, description="Rounds that asked for a weak category without a significant gain, after which it is stuck"
    )
    nightly_cron: str = Field("0 2 * * *", description="When nightly_regeneration starts a round")
    verification_cron: str = Field("0 4 * * *", description="When nightly_verification compares files with manifests")
    morning_cron: str = Field("0 6 * * *", description="When morning_summary writes the page on the last day")
    nightly_timezone: str = Field("UTC", description="Time zone of these three, such as Europe/Berlin")

    @field_validator("nightly_timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(f"SEDI_LOOP_NIGHTLY_TIMEZONE: no time zone is called {value!r}") from None
        return value


class AlertSettings(_Group):
    webhook: SecretStr = Field(
        SecretStr(""),
        description='URL that gets a JSON message, {"text": ...}, when the loop needs a person (Slack and many others '
        "take it); never written anywhere; empty: off",
    )
    command: str = Field(
        "", description="Command that gets the same message on its standard input; run without a shell; empty: off"
    )
    every_failure: bool = Field(False, description="Tell of failed runs too that are tried again by themselves")

    @property
    def are_on(self) -> bool:
        return bool(self.webhook.get_secret_value() or self.command)


PROFILES: dict[str, dict[str, Any]] = {
    # Minutes on two cores: what shows is what the seed tasks teach; the bundled teacher's examples show the machinery.
    "local": {
        # What the bundled teacher does best (docs/generation_trial.md): continue a list, then answer each task.
        "generation": {"methods": {"self_instruct": 1.0}, "instances": "answer", "candidates_per_category": 2},
        "training": {"epochs": 1.0, "seed_epochs": 1.0, "example_losses": False},
        "evaluation": {"items_per_category": 8},
    },
    "rehearsal": {
        "data": "data-rehearsal",  # simulated text must never lie among real examples
        # Five skills by template, which the simulated teacher can teach and the bundled student learn in minutes.
        "seeds": "seeds/rehearsal/seed_tasks.jsonl",
        "categories": "seeds/rehearsal/categories.yaml",
        "items": "seeds/rehearsal/evaluation_items.jsonl",
        "teacher": {
            "base_url": "simulated:",
            "model": "simulated-teacher",
            "max_concurrency": 16,
        },
        "generation": {
            "candidates_per_category": 20,
            "methods": {"self_instruct": 1.0},
            "instances": "answer",  # a task, then its answer: the fewest calls
            "max_instruction_tokens": 150,
            "max_answer_tokens": 64,
        },
        # Many small steps: there are few examples. Most are the round's own: seed tasks come of all categories.
        "batching": {"batch_size": 4, "human_replay": 0.3},
        "training": {
            "learning_rate": 6e-4,
            "micro_batch_size": 4,
            "max_length": 128,
            "seed_epochs": 0.0,  # its seed tasks alone teach nearly half of the items; there would be little to see
            "example_losses": False,  # two passes saved; nothing here reads them
        },
        "evaluation": {"items_per_category": 24, "batch_size": 40},
    },
    "openai": {
        "teacher": {
            "base_url": "https://api.openai.com/v1",
            "model": "gpt-6-luna",
            "max_concurrency": 64,
            "token_parameter": "max_completion_tokens",
            "extra_body": {"reasoning_effort": "none"},  # thoughts are paid as answer tokens; some want temperature 1
        },
        "generation": {
            "candidates_per_category": 100,
            "max_instruction_tokens": 1024,
            "max_answer_tokens": 512,
        },
        "training": {"student": "HuggingFaceTB/SmolLM2-360M-Instruct", "max_length": 1024},
        "evaluation": {"items_per_category": 100},
    },
}


class _ProfileSource(PydanticBaseSettingsSource):
    """The chosen profile as the lowest source, so that every other source wins over it."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        name = self.current_state.get("profile", "local")
        if not isinstance(name, str) or name not in PROFILES:
            raise SettingsError(
                f"Unknown profile {name!r}.",
                f"Set SEDI_PROFILE (or --profile) to one of: {', '.join(PROFILES)}.",
            )
        return PROFILES[name]


class _Layers(PydanticBaseSettingsSource):
    """All sources as one, the highest first: a field is taken whole from the highest that has it.

    (Left to themselves the sources are merged all the way down, so that a setting that is a JSON object could be
    neither replaced nor emptied.)
    """

    def __init__(self, settings_cls: type[BaseSettings], layers: Sequence[PydanticBaseSettingsSource]) -> None:
        super().__init__(settings_cls)
        self._layers = layers

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for layer in self._layers:
            layer._set_current_state(merged)
            for name, value in layer().items():
                if isinstance(value, dict) and isinstance(merged.get(name, {}), dict):
                    merged[name] = {**value, **merged.get(name, {})}
                else:
                    merged.setdefault(name, value)
        return merged


class Settings(BaseSettings):
    """All settings of a run; frozen. `load_settings` makes one."""

    model_config = SettingsConfigDict(
        env_prefix="SEDI_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=ENV_FILE,
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    profile: str = Field(
        "local", description="local: bundled models, no key; openai: an API teacher; rehearsal: a simulated teacher"
    )
    data: str = Field("data", description="Where all data lives: a folder or any fsspec URL")
    cache: Path = Field(Path(".cache"), description="Local scratch folder; everything in it can be remade")
    seeds: Path = Field(Path("seeds/seed_tasks.jsonl"), description="Seed tasks")
    seed_categories: dict[str, str] = Field(
        default_factory=dict,
        description='What the categories that the seed tasks name are taken as, as JSON: {"poem": "creative_writing"}; '
        "an empty name leaves their tasks out",
    )
    categories: Path = Field(Path("seeds/categories.yaml"), description="Categories")
    items: Path = Field(Path("seeds/evaluation_items.jsonl"), description="Evaluation items")
    ledger: str = Field(
        "", description="SQLAlchemy URL of the ledger of teacher calls; empty: SQLite in the data folder"
    )
    pod: dict[str, Any] = Field(
        default_factory=dict,
        description="On Kubernetes: the pods of runs that train and evaluate, as JSON (dagster-k8s/config)",
    )
    project_seed: int = Field(0, description="Every random choice derives from this number")
    openlineage: bool = Field(
        False, description="Send OpenLineage events of what is made, to where OPENLINEAGE_URL says (docs/lineage.md)"
    )

    teacher: TeacherSettings = TeacherSettings()
    budget: BudgetSettings = BudgetSettings()
    generation: GenerationSettings = GenerationSettings()
    filtering: FilteringSettings = FilteringSettings()
    batching: BatchingSettings = BatchingSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    loop: LoopSettings = LoopSettings()
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        layers = (init_settings, env_settings, dotenv_settings, _ProfileSource(settings_cls))
        return (_Layers(settings_cls, layers),)

    @model_validator(mode="after")
    def _measure_what_feedback_asks_for(self) -> Settings:
        if self.feedback.signal == "loss_drop" and not self.training.example_losses:
            raise ValueError("SEDI_FEEDBACK_SIGNAL=loss_drop needs SEDI_TRAINING_EXAMPLE_LOSSES=true")
        if self.feedback.signal == "heldout_gain" and not self.training.held_out_share:
            raise ValueError("SEDI_FEEDBACK_SIGNAL=heldout_gain needs SEDI_TRAINING_HELD_OUT_SHARE above 0")
        return self

    @model_validator(mode="after")
    def _have_what_sends_events(self) -> Settings:
        if self.openlineage and find_spec("openlineage") is None:
            raise ValueError(
                "SEDI_OPENLINEAGE=true needs the package openlineage-python: pip install 'sedi-dagster[openlineage]'"
            )
        return self

    @model_validator(mode="after")
    def _keep_paths_that_every_library_reads_alike(self) -> Settings:
        root = self.data_root
        if "://" not in root and (odd := odd_in_path(root)):
            raise ValueError(
                f"SEDI_DATA={self.data}: a folder with {odd!r} in its path cannot be used, as some libraries read it "
                "as part of a URL; choose another folder"
            )
        return self

    def path(self, value: Path) -> Path:
        """A path of the settings, relative ones taken from the project's root."""
        return PROJECT_ROOT / local_path(str(value))

    @property
    def data_root(self) -> str:
        """The data folder as an absolute path, or the URL as it is."""
        data = unquote(self.data.removeprefix("file://")) if self.data.startswith("file://") else self.data
        return data if "://" in data else str(self.path(Path(data)))

    def public(self) -> dict[str, Any]:
        """The settings as JSON, secrets masked (also passwords in URLs): for manifests and metadata."""
        shown: dict[str, Any] = _masked(self.model_dump(mode="json"))
        for name in ("headers", "query"):
            shown["teacher"][name] = dict.fromkeys(shown["teacher"][name], "***")
        shown["teacher"]["extra_body"] = _without_secrets(shown["teacher"]["extra_body"])
        return shown


_ODD_IN_PATH = re.compile(r"[#?]|%[0-9a-fA-F]{2}|\$\{?\w+")


def local_path(value: str) -> Path:
    """A local path as it was meant: without the blanks and quotes of a file of variables, `~` written out.

    Raises:
        SettingsError: nobody knows the home folder.
    """
    plain = value.strip()
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'":
        plain = plain[1:-1]
    try:
        return Path(plain).expanduser()
    except RuntimeError:
        raise SettingsError(f"There is no home folder for {plain!r}.", "Write the whole path.") from None


def odd_in_path(path: str) -> str:
    """What stands in a local path and means something else in a URL, or a variable that nobody filled in; else ""."""
    found = _ODD_IN_PATH.search(path)
    return found[0] if found else ""


_PASSWORD_IN_URL = re.compile(r"(://[^/@\s:]*):[^/\s]*@|([?&][^=&\s]*(?:password|secret|token|key)=)[^&\s]*", re.I)


def _masked(value: Any) -> Any:
    """The value without the passwords of URLs in it."""
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(lambda m: f"{m[1]}:***@" if m[1] else f"{m[2]}***", value)
    return value


_SECRET_NAME = re.compile(r"key$|token$|secret|passw|authori[sz]ation|credential|cookie|bearer", re.I)
_SECRET_VALUE = re.compile(r"^(?:sk-|Bearer |Basic |eyJ|AIza|ghp_|hf_|xox)", re.I)


def _without_secrets(value: Any, name: str = "") -> Any:
    """A free JSON value without what may be a secret in it, by its name or its look."""
    if isinstance(value, dict):
        return {key: _without_secrets(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, name) for inner in value]
    is_secret = isinstance(value, str) and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
    return "***" if is_secret else value


def secrets_in(value: Any, name: str = "") -> list[str]:
    """The texts in a free JSON value that may be secrets."""
    if isinstance(value, dict):
        return [secret for key, inner in value.items() for secret in secrets_in(inner, key)]
    if isinstance(value, list):
        return [secret for inner in value for secret in secrets_in(inner, name)]
    return [value] if isinstance(value, str) and _without_secrets(value, name) != value else []


def _variable(location: tuple[int | str, ...]) -> str:
    return "SEDI_" + "_".join(str(part) for part in location[:2]).upper()


def _known_variables() -> set[str]:
    known = set()
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            known |= {_variable((name, inner)) for inner in group.model_fields}
        else:
            known.add(_variable((name,)))
    return known


_OF_A_SERVICE = re.compile(r"(.+?)_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)")


def _unknown(given: Mapping[str, Any]) -> list[str]:
    """Variables that look like settings and are none.

    A container that has a service `sedi-...` beside it is given variables of that name by Kubernetes and Docker.
    """
    names = given.keys() - _known_variables()
    services = {name.removesuffix("_SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST")}
    return [
        name
        for name in names
        if name.startswith("SEDI_") and not ((of := _OF_A_SERVICE.fullmatch(name)) and of[1] in services)
    ]


def _with_hint(unknown: str) -> str:
    near = get_close_matches(unknown, sorted(_known_variables()), 1, 0.8)
    return f"{unknown} (did you mean {near[0]}?)" if near else unknown


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read defaults, profile, `.env`, variables and overrides into checked settings.

    Raises:
        SettingsError: a variable that no setting reads (a typing error would else be silent), an unknown
            profile, or a value of the wrong type; all problems at once.
    """
    try:
        given = {name.upper(): value for name, value in dotenv_values(ENV_FILE, encoding="utf-8-sig").items()}
    except UnicodeDecodeError:
        raise SettingsError(f"{ENV_FILE} is not written in UTF-8.", "Save it as UTF-8 (it may be UTF-16).") from None
    given |= os.environ
    unknown = sorted(_unknown(given))
    unknown += [_variable((name,)) for name in overrides or {} if name not in Settings.model_fields]
    if unknown:
        raise SettingsError(
            f"Unknown setting: {', '.join(map(_with_hint, unknown))}.",
            "Correct the name or unset it; .env.example lists all settings.",
        )
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        problems = [
            # what several settings come to together names them itself
            e["msg"].removeprefix("Value error, ")
            if e["type"] == "value_error"
            else f"{_variable(e['loc'])}: {e['msg']}{_got(e['loc'], e['input'])}"
            for e in error.errors()
        ]
        raise SettingsError("Bad setting. " + "; ".join(problems), ".env.example explains each setting.") from None
    except UnreadableVariable as error:
        text = getattr(error.__cause__, "doc", None)
        names = [name for name in sorted(_known_variables()) if given.get(name) == text]
        raise SettingsError(
            f"Bad setting. {', '.join(names) or error}: not JSON ({error.__cause__}).",
            ".env.example explains each setting.",
        ) from None


def _got(location: tuple[int | str, ...], value: Any) -> str:
    """The bad value as a message shows it; nothing where it may be a secret or hold one."""
    plain = isinstance(value, str | int | float) and _variable(location) in _known_variables()
    secret = _variable(location).endswith(("_KEY", "_BODY", "_HEADERS", "_QUERY"))
    return f" (got {_masked(value)!r})" if plain and not secret else ""
