"""The student's chat template: where an answer begins, and which tokens end it.

Everything that trains, evaluates or queries a student uses this module, so that all see the same tokens. No system
message is sent: some families (Gemma) do not support one, others insert their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Ids = list[int]

TEMPLATE_SWITCHES: dict[str, Any] = {
    # Qwen 3, SmolLM 3, GLM; Granite, DeepSeek: answers are short and are wanted without thoughts
    "enable_thinking": False,
    "thinking": False,
    "date_string": "26 Jul 2024",  # Llama 3 puts in today's else: the same question must be the same tomorrow
}
"""Variables given to every chat template; one that does not know them takes no notice."""

_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%A": "Friday", "%a": "Fri"}
_SAME_DATE = (
    "{%- macro strftime_now(form) -%}{{ form"
    + "".join(f" | replace('{directive}', '{text}')" for directive, text in _DATE.items())
    + " }}{%- endmacro -%}"
)
"""Goes before a template that asks for the date by this function (SmolLM 3, Granite, Mistral): the same, for the same
reason."""

_QUESTION, _ANSWER = "Question7", "Answer7"


def question_text(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The chat up to where the answer begins."""
    return _rendered(tokenizer, [{"role": "user", "content": question}], opened=True)


def chat_text(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> str:
    """The whole chat, as it is trained on."""
    return _rendered(
        tokenizer, [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], opened=False
    )


def _rendered(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, str]], opened: bool) -> str:
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _SAME_DATE + template
    text = tokenizer.apply_chat_template(
        chat, chat_template=template, tokenize=False, add_generation_prompt=opened, **TEMPLATE_SWITCHES
    )
    return str(text)


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> Ids:
    """Token ids of a text that has its special tokens already."""
    return _ids_of(tokenizer, [text])[0]


def _ids_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Ids]:
    found: list[Ids] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return found


def writes_text(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a text comes back from its tokens, but for case and blanks. Without its vocabulary a tokenizer is made
    all the same, and leaves out what it does not know."""
    back = str(tokenizer.decode(token_ids(tokenizer, _QUESTION))).lower()
    return "".join(back.split()) == _QUESTION.lower()


def trained_ids(tokenizer: PreTrainedTokenizerBase, chats: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
    """Each chat (question, answer) as it is trained on: the tokens up to the answer, and those of the answer.

    The first are exactly what the student is asked with. The second contain the token that closes an answer, also if
    the template leaves it out (GLM 4): without it, the student would not learn to end.
    """
    closing = closing_token(tokenizer)
    asked = [question_text(tokenizer, question) for question, _ in chats]
    whole = [chat_text(tokenizer, *chat) for chat in chats]
    found = []
    for start in range(0, len(chats), _TEXTS_AT_ONCE):
        some = slice(start, start + _TEXTS_AT_ONCE)
        ids = zip(_ids_of(tokenizer, asked[some]), _ids_of(tokenizer, whole[some]), strict=True)
        for (_, answer), before, text, (context, both) in zip(chats[some], asked[some], whole[some], ids, strict=True):
            if both[: len(context)] == context:
                after = both[len(context) :]
            elif text.startswith(before):  # tokens merge where the answer begins
                after = token_ids(tokenizer, text[len(before) :])
            else:  # the template opens an answer otherwise than it renders one: DeepSeek R1 opens a thought
                thought = "\n</think>\n\n" if before.rstrip().endswith("<think>") else ""
                after = token_ids(tokenizer, thought + answer)
            found.append((context, after if closing in after else [*after, closing]))
    return found


_TEXTS_AT_ONCE = 10_000


def closing_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that closes an answer in the template: the student learns to end with it.

    It need not be the tokenizer's end of text: Gemma closes a turn by `<end_of_turn>`, Phi by `<|end|>`.
    """
    found = closing_in_template(tokenizer)
    return int(tokenizer.eos_token_id) if found is None else found


def closing_in_template(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token that the template puts after an answer, None if it puts none.

    Raises:
        Exception: the template cannot render a question and its answer, of whatever kind the template's fault is.
    """
    if _QUESTION not in question_text(tokenizer, _QUESTION):
        raise ValueError("it leaves the question out")
    text = chat_text(tokenizer, _QUESTION, _ANSWER)
    if _ANSWER not in text:
        raise ValueError("it leaves the answer out")
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    after = token_ids(tokenizer, text[text.rindex(_ANSWER) + len(_ANSWER) :])
    return next((token for token in after if token in special), None)


def end_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> frozenset[int]:
    """Every token that ends an answer: the template's, the tokenizer's, and those of `generation_config`.

    Ids that the model cannot say are left out (-1, or those of another tokenizer): padding with one would fail.
    """
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    several = [configured] if isinstance(configured, int) else configured or []
    known = range(model.get_input_embeddings().num_embeddings)
    return frozenset({closing_token(tokenizer), int(tokenizer.eos_token_id), *several}.intersection(known))


def answer_ids(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> Ids:
    """An answer's tokens after its question, its closing token last."""
    closing = closing_token(tokenizer)
    ((_, ids),) = trained_ids(tokenizer, [(question, answer)])
    return ids[: len(ids) - ids[::-1].index(closing)]


def opening_ids(tokenizer: PreTrainedTokenizerBase) -> Ids:
    """The tokens that open an answer whatever the question: what its loss alone is measured after. At least one."""
    closed = _rendered(tokenizer, [{"role": "user", "content": _QUESTION}], opened=False)
    opened = question_text(tokenizer, _QUESTION)
    ids = token_ids(tokenizer, opened[len(closed) :]) if opened.startswith(closed) else []
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return ids or [int(start)]
