"""The student's chat template: where an answer begins, and which tokens end it.

Training, evaluation and filtering all use this module, so that the student always sees the same tokens. No system
message is sent, because some families (Gemma) do not support one, and others insert their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Ids = list[int]

TEMPLATE_SWITCHES: dict[str, Any] = {
    "enable_thinking": False,  # Qwen 3, SmolLM 3, GLM: answers should be short
    "thinking": False,  # Granite, DeepSeek
    "date_string": "26 Jul 2024",  # Llama 3 inserts the current date otherwise; prompts must not depend on the day
}
"""Variables passed to every chat template; templates ignore those that they do not use."""

_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%A": "Friday", "%a": "Fri"}
_SAME_DATE = (
    "{%- macro strftime_now(form) -%}{{ form"
    + "".join(f" | replace('{directive}', '{text}')" for directive, text in _DATE.items())
    + " }}{%- endmacro -%}"
)
"""Definition prepended to templates that call `strftime_now` (SmolLM 3, Granite, Mistral), to insert the same date."""

_QUESTION, _ANSWER = "Question7", "Answer7"


def question_text(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """Return the rendered chat up to where the answer begins."""
    return _render(tokenizer, [{"role": "user", "content": question}], open_answer=True)


def chat_text(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> str:
    """Return the rendered chat with its answer, as used for training."""
    return _render(tokenizer, [{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


def _render(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, str]], open_answer: bool = False) -> str:
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _SAME_DATE + template
    text = tokenizer.apply_chat_template(
        chat, chat_template=template, tokenize=False, add_generation_prompt=open_answer, **TEMPLATE_SWITCHES
    )
    return str(text)


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> Ids:
    """Tokenize a rendered text, without adding special tokens."""
    return _tokenize(tokenizer, [text])[0]


def _tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Ids]:
    ids: list[Ids] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return ids


def writes_text(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether decoding restores an encoded text, except for case and white space.

    A tokenizer whose vocabulary is missing loads without an error, but drops what it does not know.
    """
    decoded = str(tokenizer.decode(token_ids(tokenizer, _QUESTION))).lower()
    return "".join(decoded.split()) == _QUESTION.lower()


def trained_ids(tokenizer: PreTrainedTokenizerBase, chats: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
    """Tokenize chats (question, answer) for training.

    Returns:
        For each chat, the tokens up to the answer, which are exactly the prompt used in evaluation, and those of the
        answer. The latter contain the closing token even if the template omits it (GLM 4); otherwise the student would
        not learn to end its answers.
    """
    closing = closing_token(tokenizer)
    questions = [question_text(tokenizer, question) for question, _ in chats]
    texts = [chat_text(tokenizer, *chat) for chat in chats]
    result = []
    for start in range(0, len(chats), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        ids = zip(_tokenize(tokenizer, questions[chunk]), _tokenize(tokenizer, texts[chunk]), strict=True)
        rendered = zip(chats[chunk], questions[chunk], texts[chunk], ids, strict=True)
        for (_, answer), before, text, (context, whole) in rendered:
            if whole[: len(context)] == context:
                after = whole[len(context) :]
            elif text.startswith(before):  # tokens merge where the answer begins
                after = token_ids(tokenizer, text[len(before) :])
            else:  # the generation prompt differs from a rendered answer: DeepSeek R1 opens a thought
                thought = "\n</think>\n\n" if before.rstrip().endswith("<think>") else ""
                after = token_ids(tokenizer, thought + answer)
            result.append((context, after if closing in after else [*after, closing]))
    return result


_CHUNK = 10_000


def closing_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that closes an answer in the template, with which the student learns to end.

    It need not be the tokenizer's end-of-text token: Gemma closes a turn with `<end_of_turn>`, Phi with `<|end|>`.
    """
    token = closing_in_template(tokenizer)
    return int(tokenizer.eos_token_id) if token is None else token


def closing_in_template(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the special token that the template adds after an answer; None if it adds none.

    Raises:
        Exception: the template cannot render a question and its answer; the type depends on the template's error.
    """
    if _QUESTION not in question_text(tokenizer, _QUESTION):
        raise ValueError("it leaves out the question")
    text = chat_text(tokenizer, _QUESTION, _ANSWER)
    if _ANSWER not in text:
        raise ValueError("it leaves out the answer")
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    after = token_ids(tokenizer, text[text.rindex(_ANSWER) + len(_ANSWER) :])
    return next((token for token in after if token in special), None)


def end_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> frozenset[int]:
    """Return all tokens that end an answer: those of the template, the tokenizer and the `generation_config`.

    Ids outside the model's vocabulary (-1, or those of another tokenizer) are omitted, as padding with them would fail.
    """
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    configured = [configured] if isinstance(configured, int) else configured or []
    known = range(model.get_input_embeddings().num_embeddings)
    return frozenset({closing_token(tokenizer), int(tokenizer.eos_token_id), *configured}.intersection(known))


def answer_ids(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> Ids:
    """Return the tokens of an answer to a question, up to and including its closing token."""
    closing = closing_token(tokenizer)
    ((_, ids),) = trained_ids(tokenizer, [(question, answer)])
    return ids[: len(ids) - ids[::-1].index(closing)]


def opening_ids(tokenizer: PreTrainedTokenizerBase) -> Ids:
    """Return the tokens that open any answer, at least one: the context for the loss of an answer by itself."""
    question = _render(tokenizer, [{"role": "user", "content": _QUESTION}])
    prompt = question_text(tokenizer, _QUESTION)
    ids = token_ids(tokenizer, prompt[len(question) :]) if prompt.startswith(question) else []
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return ids or [int(start)]
