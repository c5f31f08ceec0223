"""The student's chat template: where an answer begins, and which tokens end it.

Everything that trains, evaluates or queries a student uses this module, so that all see the same tokens. No system
message is sent: some families (Gemma) do not support one, others insert their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEMPLATE_SWITCHES: dict[str, Any] = {
    # Qwen 3, SmolLM 3, GLM; Granite, DeepSeek: answers are short and are wanted without thoughts
    "enable_thinking": False,
    "thinking": False,
    "date_string": "26 Jul 2024",  # Llama 3 puts in today's else: the same question must be the same tomorrow
}
"""Variables given to every chat template; one that does not know them takes no notice."""

_QUESTION, _ANSWER = "Question7", "Answer7"


def question_text(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The chat up to where the answer begins."""
    chat = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **TEMPLATE_SWITCHES))


def chat_text(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> str:
    """The whole chat, as it is trained on."""
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, **TEMPLATE_SWITCHES))


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text that has its special tokens already."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def closing_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that closes an answer in the template: the student learns to end with it.

    It need not be the tokenizer's end of text: Gemma closes a turn by `<end_of_turn>`, Phi by `<|end|>`.
    """
    text = chat_text(tokenizer, _QUESTION, _ANSWER)
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    after = token_ids(tokenizer, text[text.rindex(_ANSWER) + len(_ANSWER) :])
    return next((token for token in after if token in special), int(tokenizer.eos_token_id))


def end_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> frozenset[int]:
    """Every token that ends an answer: the template's, the tokenizer's, and those of `generation_config`."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    several = [configured] if isinstance(configured, int) else configured or []
    return frozenset({closing_token(tokenizer), int(tokenizer.eos_token_id), *several})


def answer_ids(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> list[int]:
    """An answer's tokens after its question, its closing token last."""
    closing = closing_token(tokenizer)
    asked, whole = question_text(tokenizer, question), chat_text(tokenizer, question, answer)
    ids = token_ids(tokenizer, whole[len(asked) :] if whole.startswith(asked) else answer)
    end = len(ids) - ids[::-1].index(closing) if closing in ids else len(ids)
    return [*ids[: end - 1], closing] if closing in ids else [*ids, closing]


def opening_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that open an answer whatever the question: what its loss alone is measured after. At least one."""
    closed = tokenizer.apply_chat_template(
        [{"role": "user", "content": _QUESTION}], tokenize=False, add_generation_prompt=False, **TEMPLATE_SWITCHES
    )
    opened = question_text(tokenizer, _QUESTION)
    ids = token_ids(tokenizer, opened[len(closed) :]) if opened.startswith(closed) else []
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return ids or [int(start)]
